"""master_debug and slave_debug: the dialogue, line by line, on the log stream."""

from channels.tcp.process import say

# Of one turn's octets: content is not what anybody debugs a dialogue for.
_LINES = 20
_LONGEST = 200


def trace(transport: str, what: str, data: bytes) -> None:
    """``Sending : "EHLO ..."`` as the original's debug logs have it; long content is cut."""
    lines = data.split(b"\n", _LINES)
    for line in lines[:_LINES]:
        text = line.rstrip(b"\r")
        if text:
            shown = text[:_LONGEST].decode("ascii", "backslashreplace")
            say(f'{transport} {what:<8} : "{shown}"')
    if len(lines) > _LINES:
        say(f"{transport} {what:<8} : ... {len(lines[_LINES])} octets more")
