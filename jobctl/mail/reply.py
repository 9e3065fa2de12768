"""What an SMTP peer says to a command."""

import re

import msgspec

_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?: |$)")


class Reply(msgspec.Struct, frozen=True):
    """
    A reply, complete with its text.

    :ivar code: Three digits, 200 to 599.
    :ivar text: What follows the code, without an enhanced code taken apart;
        lines of a multi-line reply are joined by ``\\n``.

    RFC 5321 section 4.2; RFC 2034 for the enhanced code inside the text.
    """

    code: int
    text: str = ""

    @property
    def enhanced(self) -> str | None:
        """The RFC 3463 status that begins the text, or ``None`` when it has none of the code's class."""
        found = _ENHANCED.match(self.text)
        if found is None or found[1] != str(self.code)[0]:
            return None
        return found[0].strip()

    def __str__(self) -> str:
        return f"{self.code} {self.text}".strip().replace("\n", " ")
