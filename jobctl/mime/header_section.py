"""The header of a message changed as it passes; the body follows as it is."""

from collections.abc import Callable, Sequence

from jobctl.config.settings import ChannelSettings
from jobctl.mime.address_fields import divided
from jobctl.mime.fields import fields_of, folded, name_of, octets_of
from jobctl.mime.trimming import trimmed
from jobctl.mime.unsendable import Unsendable

# A header that is longer is not changed by halves.
MOST_HEADER = 1024 * 1024


Change = Callable[[Sequence[bytes]], Sequence[bytes]]


class HeaderSection:
    """
    :param change: Fields in, fields out.

    Pieces come cut anywhere, with CRLF behind each line.
    """

    def __init__(self, change: Change) -> None:
        self._change = change
        self._held = b""
        self._over = False

    def feed(self, piece: bytes) -> bytes:
        """
        Return what is decided: nothing before the header is complete.

        :raises Unsendable: It does not end within the first MiB, and what is to be removed must not go on.
        """
        if self._over:
            return piece
        self._held += piece
        held = self._held
        end = 0 if held.startswith(b"\r\n") else held.find(b"\r\n\r\n") + 2
        complete = end != 1
        if (end if complete else len(held)) > MOST_HEADER:
            raise Unsendable("5.6.0", f"header section of more than {MOST_HEADER} octets")
        if not complete:
            return b""
        header, body = held[:end], held[end:]
        self._held = b""
        self._over = True
        return changed(header, self._change) + body

    def finish(self) -> bytes:
        """Return the rest: a header without body."""
        return b"" if self._over else changed(self._held, self._change)


def changed(header: bytes, change: Change) -> bytes:
    """The header section with its last line end; from the first line that is no field on it stays as it is."""
    lines = header.split(b"\r\n")[:-1]
    good = next((at for at, line in enumerate(lines) if not _belongs(line, at)), len(lines))
    rest = b"".join(line + b"\r\n" for line in lines[good:])
    return b"".join(change(fields_of(lines[:good]))) + rest


def _belongs(line: bytes, at: int) -> bool:
    return bool(name_of(line)) or (at > 0 and line[:1] in (b" ", b"\t"))


def on_arrival(channel: ChannelSettings, strict: bool = False) -> Change:
    """
    What the channel's options do to the header of what comes in.

    :param strict: UTF-8 was not declared, and must not be there then (``utf8strict``).
    """

    def change(fields: Sequence[bytes]) -> Sequence[bytes]:
        if strict and not all(field.isascii() for field in fields):
            raise Unsendable("5.6.9", "header in UTF-8 without SMTPUTF8")
        return trimmed(fields, channel.headerread)

    return change


def on_delivery(channel: ChannelSettings) -> Change:
    """What the channel's options do to the header of what goes out."""
    return lambda fields: _reshaped(trimmed(fields, channel.headertrim), channel)


def _reshaped(fields: Sequence[bytes], channel: ChannelSettings) -> list[bytes]:
    shaped = []
    for field in fields:
        if channel.maxprocchars is not None and octets_of(field) > channel.maxprocchars:
            shaped.append(field)
            continue
        parts = [field]
        if channel.maxheaderaddrs is not None or channel.maxheaderchars is not None:
            parts = divided(field, channel.maxheaderaddrs, channel.maxheaderchars)
        width = channel.headerlinelength
        shaped += parts if width is None else (folded(part, width) for part in parts)
    return shaped
