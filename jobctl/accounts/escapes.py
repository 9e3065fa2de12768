"""
Text from elsewhere in a line of the log: nothing in it can end a field or a line.

What a peer said is written so that it reads as it was: ``\\`` as ``\\\\``, and what is not
printable, a blank inside a field, and what turns text around as ``\\x20``, ``\\u202e``.
"""

import re

# Characters of one value; a reply can be longer than any line should be.
MOST = 1000


def text(value: str) -> str:
    """Free text at the end of a line: blanks stay."""
    if len(value) > MOST:
        value = value[:MOST] + "..."
    # Backslash first of all: printable as it is, it must be doubled nevertheless.
    if value.isprintable() and "\\" not in value:
        return value
    return "".join(map(_character, value))


def field(value: str) -> str:
    """A value between blanks."""
    value = text(value)
    return value.replace(" ", "\\x20") if " " in value else value


def xml(value: str) -> str:
    """An attribute's value, in double quotes outside; also what XML has no way to say is escaped as above."""
    value = text(value)
    if "&" in value or "<" in value or ">" in value or '"' in value:
        value = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return value


def unescaped(value: str) -> str:
    """What :func:`text` and :func:`field` were given, as long as nothing was cut."""
    return _ESCAPE.sub(lambda found: "\\" if found[0] == "\\\\" else chr(int(found[0][2:], 16)), value)


_ESCAPE = re.compile(r"\\\\|\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}")


def _character(one: str) -> str:
    if one == "\\":
        return "\\\\"
    if one.isprintable():
        return one
    number = ord(one)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def one_line(line: str) -> str:
    """What JSON leaves as it is, and a terminal or a reader of lines does not: only in texts can it be."""
    return line if line.isprintable() else "".join(map(_json_escaped, line))


def _json_escaped(one: str) -> str:
    if one.isprintable():
        return one
    octets = one.encode("utf-16-be")
    return "".join(f"\\u{octets[at]:02x}{octets[at + 1]:02x}" for at in range(0, len(octets), 2))
