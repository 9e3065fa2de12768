"""Which messages ``clean`` means: those whose parts contain texts."""

from collections.abc import Mapping

import msgspec

from jobctl.mail.entry import StoredEntry
from jobctl.selection.parts import CONTENT, FROM, PARTS, Head, values

# A short text is in more messages than one thinks.
SHORTEST = 24
# Octets of a body that are searched.
SEARCHED = 256 * 1024


class Substrings(msgspec.Struct, frozen=True):
    """
    What must be in the parts of a message; case does not matter.

    :ivar texts: Part to text; ``<>`` as FROM is the null sender.
    :ivar match_all: Every one of them must be there; else one is enough.
    :ivar ignore_untried: Messages that were never tried are left alone.
    """

    texts: Mapping[str, str]
    match_all: bool = True
    ignore_untried: bool = False

    def check(self, shortest: int = SHORTEST) -> None:
        """:raises ValueError: Nothing is asked for, or something too short or unknown."""
        if not self.texts:
            raise ValueError("give what is to be found: " + ", ".join(PARTS))
        for part, text in self.texts.items():
            if part not in PARTS:
                raise ValueError(f"no part of a message is called {part}: there are {', '.join(PARTS)}")
            if not (part == FROM and text == "<>") and len(text) < max(shortest, 1):
                raise ValueError(
                    f"{part}: {text!r} has fewer than {max(shortest, 1)} characters and may be in much other "
                    "mail; allow less with min_length if you mean it"
                )

    def match(self, stored: StoredEntry, head: Head) -> bool:
        """Whether an entry is meant; content is read only if the envelope does not decide."""
        if self.ignore_untried and not stored.entry.attempts:
            return False
        for part in sorted(self.texts, key=lambda part: part == CONTENT):
            if self._has(part, stored, head) is not self.match_all:
                return not self.match_all
        return self.match_all

    def _has(self, part: str, stored: StoredEntry, head: Head) -> bool:
        text = self.texts[part]
        if part == FROM and text == "<>":
            return not stored.envelope.sender
        wanted = text.lower()
        return any(wanted in value.lower() for value in values(part, stored, head, SEARCHED))
