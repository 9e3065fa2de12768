"""What is done to content on its way out: what the channel asks for, and what this peer needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from jobctl.config.settings import ChannelSettings
from jobctl.mail.envelope import Envelope
from jobctl.smtp.content import DotStuffer

if TYPE_CHECKING:
    from jobctl.mime.header_section import Change


class _Step(Protocol):
    def feed(self, piece: bytes, /) -> bytes: ...
    def finish(self) -> bytes: ...


class Shaping:
    """
    One session's rules.

    :ivar eight: 8-bit content must not go out.
    """

    def __init__(self, channel: ChannelSettings, extensions: dict[str, str], lmtp: bool) -> None:
        spoken = lmtp or "8BITMIME" in extensions
        self.eight = channel.eight == "sevenbit" or not (spoken or channel.eight == "eightbit")
        self._longest = channel.linelength
        self._header = _change(channel)

    @property
    def idle(self) -> bool:
        """Nothing is ever done."""
        return not self.eight and self._longest is None and self._header is None

    def of(self, envelope: Envelope, whole: bytes | None) -> Shape | None:
        """
        What is done to one message, ``None`` for nothing.

        :param whole: Its content, if all of it is at hand. Else the envelope says whether it is 8-bit: the
            controller looks at what comes in.
        """
        eight = self.eight and (envelope.body == "8BITMIME" if whole is None else not whole.isascii())
        if not eight and self._longest is None and self._header is None:
            return None
        return Shape(eight, self._longest, self._header)


class Shape:
    """
    Content in, content out, in pieces cut anywhere; bounded in memory.

    :param change: Of the header.
    """

    def __init__(self, eight: bool, longest: int | None, change: Change | None) -> None:
        # Other readers of what goes out see lines where we see them.
        self._steps: list[_Step] = [DotStuffer(dots=False)]
        if change is not None:
            from jobctl.mime.header_section import HeaderSection

            self._steps.append(HeaderSection(change))
        if eight or longest is not None:
            from jobctl.mime.conversion import Conversion

            self._steps.append(Conversion(eight, longest))

    def feed(self, piece: bytes) -> bytes:
        """
        Return what is to be sent of it so far.

        :raises Unsendable: Nothing of the message may be sent, or have been sent.
        """
        for step in self._steps:
            piece = step.feed(piece)
        return piece

    def finish(self) -> bytes:
        """
        Return the rest.

        :raises Unsendable: As before.
        """
        rest = b""
        for step in self._steps:
            rest = step.feed(rest) + step.finish()
        return rest


def _change(channel: ChannelSettings) -> Change | None:
    limits = (channel.maxheaderaddrs, channel.maxheaderchars, channel.headerlinelength)
    if not channel.headertrim and limits == (None, None, None):
        return None
    from jobctl.mime.header_section import on_delivery

    return on_delivery(channel)
