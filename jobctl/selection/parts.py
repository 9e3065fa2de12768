"""The parts of a message that ``clean`` and ``top`` look at."""

import re
from collections.abc import Callable, Iterable
from email.header import decode_header

from jobctl.mail.entry import StoredEntry
from jobctl.mail.header import header_of

CONTENT, FROM, SUBJECT, TO, DOMAIN_TO = PARTS = ("content", "from", "subject", "to", "domain_to")
# Octets of the header section that are read for a subject, and of one value that is kept.
HEADER = 64 * 1024
LONGEST = 1000
_SUBJECT = re.compile(rb"^subject[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.IGNORECASE | re.MULTILINE)

# Gives up to so many octets of an entry's content, from its beginning.
Head = Callable[[int], bytes]


def values(part: str, stored: StoredEntry, head: Head, octets: int) -> Iterable[str]:
    """
    What an entry has in a part: one value, or one for each recipient still open.

    :param octets: Of the body, for :data:`CONTENT`.
    """
    if part == FROM:
        return (stored.envelope.sender,)
    if part == TO:
        return (recipient.address for recipient in stored.envelope.recipients)
    if part == DOMAIN_TO:
        return {recipient.address.rpartition("@")[2] for recipient in stored.envelope.recipients}
    if part == SUBJECT:
        return (subject(head(HEADER)),)
    return (text(body(head(HEADER + octets))),)


def subject(content: bytes) -> str:
    """The Subject field, unfolded and decoded (RFC 2047); ``""`` when there is none."""
    found = _SUBJECT.search(header_of(content))
    if found is None:
        return ""
    raw = text(found[1].replace(b"\r\n", b"")[: 4 * LONGEST])
    return decoded(raw).strip()[:LONGEST]


def decoded(raw: str) -> str:
    """Encoded words as what they say; what says nothing stays as it is."""
    if "=?" not in raw:
        return raw
    try:
        pieces = decode_header(raw)
        return "".join(
            piece if isinstance(piece, str) else piece.decode(charset or "latin-1", "replace")
            for piece, charset in pieces
        )
    except (ValueError, LookupError):
        # HeaderParseError is a ValueError; no such character set a LookupError.
        return raw


def body(content: bytes) -> bytes:
    """What follows the header section."""
    if content.startswith(b"\r\n"):
        return content[2:]
    _, _, rest = content.partition(b"\r\n\r\n")
    return rest


def text(octets: bytes) -> str:
    """Octets as text: UTF-8, or else as they are, one character each."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")
