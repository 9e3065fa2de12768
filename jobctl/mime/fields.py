"""Header fields one by one: whole, with their line ends, as they came."""

import re
from collections.abc import Iterable

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_BLANK = re.compile(rb"[ \t]+(?=[^ \t])")


def name_of(line: bytes) -> bytes:
    """The field's name in lower case, ``b""`` when this line begins no field."""
    found = _FIELD.match(line)
    return found[1].lower() if found is not None else b""


def fields_of(lines: Iterable[bytes]) -> list[bytes]:
    """Each field with its line ends. The first line begins a field; no line has an end."""
    fields: list[list[bytes]] = []
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            fields[-1].append(line)
        else:
            fields.append([line])
    return [b"\r\n".join((*field, b"")) for field in fields]


def octets_of(field: bytes) -> int:
    """Its length, had it not been folded."""
    return len(field) - 2 * field.count(b"\r\n")


def folded(field: bytes, width: int) -> bytes:
    """
    Break lines longer than ``width`` before a blank, where there is one (RFC 5322 section 2.2.3). Unfolded it is
    the same, and no line is blank.
    """
    if len(field) <= width + 2:
        return field
    return b"".join(_folded(line, width) for line in field.split(b"\r\n")[:-1])


def _folded(line: bytes, width: int) -> bytes:
    lines = []
    start = 0
    while len(line) - start > width:
        at = 0
        for blank in _BLANK.finditer(line, start):
            begin = blank.start()
            # A line of blanks alone would end the header for some.
            if begin == start:
                continue
            if begin - start > width and at:
                break
            at = begin
            if begin - start >= width:
                break
        if not at:
            break
        lines.append(line[start:at])
        start = at
    return b"\r\n".join((*lines, line[start:], b""))


def cut(field: bytes, octets: int) -> bytes:
    """Its first ``octets``, line ends not counted; no character of UTF-8 is cut in two."""
    left = max(octets, 0)
    kept = []
    for line in field.split(b"\r\n")[:-1]:
        if len(line) > left:
            while left and line[left] & 0xC0 == 0x80:
                left -= 1
            line = line[:left].rstrip()
        if line:
            kept.append(line)
        left -= len(line)
        if left <= 0:
            break
    return b"\r\n".join((*kept, b""))
