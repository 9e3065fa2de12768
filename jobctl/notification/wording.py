"""Text that others wrote, made fit to stand in a notification."""

import re
import textwrap

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
WIDTH = 76
_TEXT_WIDTH = 75
_SURE = 240
# A line of 998 octets is the most that mail has (RFC 5322 section 2.1.1), and a character takes up to four.
_ASCII_WORD = re.compile(r"\S{900}(?=\S)")
_WORD = re.compile(r"\S{240}(?=\S)")


def clean(text: str) -> str:
    """In one line, without what begins a new one, hides or turns round what follows."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def clean_ascii(text: str) -> str:
    """As :func:`clean`, for where only ASCII may stand."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def fold(line: str) -> str:
    """Break before blanks so that lines stay near 76 characters (RFC 5322 section 2.2.3)."""
    if len(line) > _SURE:
        long = _ASCII_WORD if line.isascii() else _WORD
        line = long.sub(lambda found: found[0] + " ", line)
    folded = []
    while len(line) > WIDTH:
        at = line.rfind(" ", 1, WIDTH)
        if at <= 0:
            at = line.find(" ", WIDTH)
        if at <= 0:
            break
        folded.append(line[:at])
        line = line[at:]
    return "\r\n".join([*folded, line])


def tidy(paragraph: str) -> str:
    """
    A paragraph for people with no line longer than 75 characters, words left whole, LF line ends.

    Lines that fit stay as they are, so that what was laid out by hand keeps its form; from the first
    that does not, the rest is filled anew.  What is indented goes on further to the right.
    """
    lines = paragraph.split("\n")
    done = []
    for number, line in enumerate(lines):
        if len(line) <= _TEXT_WIDTH:
            done.append(line)
        elif line.startswith(" "):
            blanks = len(line) - len(line.lstrip(" "))
            done += _filled(line, " " * (blanks + 2))
        else:
            return "\n".join([*done, *_filled(" ".join(lines[number:]), "")])
    return "\n".join(done)


def _filled(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, _TEXT_WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
