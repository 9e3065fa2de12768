"""Bare CR and LF that nobody has asked for: what ``tcp_*`` channels do where no keyword of the smtp family says it."""

from collections.abc import Iterable, Mapping

from jobctl.config.findings import Findings, dotted
from jobctl.config.keywords_protocol import PROTOCOL
from jobctl.config.settings import ChannelSettings, ServiceSettings

_WORDS = tuple(word for key in PROTOCOL if key.field == "smtp" for word in (key.name, *key.aliases))


def note_assumed(
    services: Iterable[ServiceSettings], channels: Mapping[str, ChannelSettings], findings: Findings
) -> None:
    """
    Note each channel of a service that makes lines of bare CR and LF only because nothing else is said.

    The original's default lets a client hide a second message from servers that see other line ends than we do.
    """
    given = findings.lines()
    for name in dict.fromkeys(service.channel for service in services):
        channel = channels.get(name)
        said = any(
            dotted(where).lower() in given
            for word in _WORDS
            for where in (("channel", name, word), ("defaults", word))
        )
        if channel is not None and channel.smtp == "crorlf" and not said:
            findings.note(
                ("channel", name),
                "says nothing of line ends, so bare CR and LF that come in are made CRLF (smtp_crorlf); "
                "write smtp = true to have them refused, or smtp_crorlf = true if this is meant",
            )
