"""What a submission lacks in its header (RFC 6409 section 8): fields put at its top, the body untouched."""

import re

from jobctl.mail.address import parse_path

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_PLAIN_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+")


class HeaderTooLong(ValueError):
    """The header goes on beyond what was given of the content."""


class Header:
    """
    The fields of a message, found in the beginning of its content.

    :param whole: There is no more of the content.
    :raises HeaderTooLong: Its end is not among these octets.
    """

    def __init__(self, content: bytes, whole: bool) -> None:
        end = 0 if content[:2] == b"\r\n" else content.find(b"\r\n\r\n") + 2
        if end == 1:
            if not whole:
                raise HeaderTooLong
            end = len(content)
        # Name in small letters, from where to where.
        self.fields: list[tuple[bytes, int, int]] = []
        at = 0
        while at < end:
            after = content.find(b"\r\n", at, end)
            after = end if after < 0 else after + 2
            line = _FIELD.match(content, at, after)
            if line is not None:
                self.fields.append((line[1].lower(), at, after))
            elif content[at : at + 1] in (b" ", b"\t") and self.fields:
                name, start, _ = self.fields[-1]
                self.fields[-1] = (name, start, after)
            else:
                break  # no header any more, whatever it is
            at = after
        self._content = content

    def has(self, name: bytes) -> bool:
        """Whether there is such a field; ``name`` in small letters."""
        return any(one == name for one, _, _ in self.fields)

    def value(self, field: tuple[bytes, int, int]) -> bytes:
        """What stands behind the colon, unfolded."""
        _, start, end = field
        return self._content[start:end].partition(b":")[2].replace(b"\r\n", b"").strip()


def completed(
    content: bytes, whole: bool, *, date: str, message_id: str, originator: str | None, rewrite: int
) -> tuple[bytes, bytes]:
    """
    What is to be put in front of a submission, and its content without a sender that is not true.

    :param content: Its beginning, with the whole header.
    :param date: For a message without Date, ``""``: it goes without; ``message_id`` likewise, in angle brackets.
    :param originator: Address of who has authenticated, ``None``: nobody has.
    :param rewrite: 1: who has authenticated is told as Sender, or as Resent-Sender of what is sent again; 2: as
        Sender; 0: not at all.  It is not told where From names that address and no other.
    :raises HeaderTooLong: The header does not end within ``content``.
    """
    header = Header(content, whole)
    added = ""
    if originator is not None and rewrite:
        again = rewrite == 1 and (header.has(b"resent-from") or header.has(b"resent-sender"))
        prefix = b"resent-" if again else b""
        authors, senders = _who(header, prefix)
        for field in reversed(senders):
            if mailboxes(header.value(field)) != [originator.lower()]:
                # Two of them would be no message (RFC 5322 section 3.6).
                content = content[: field[1]] + content[field[2] :]
                senders.remove(field)
        if authors != [originator.lower()] and not senders:
            added += f"{'Resent-Sender' if again else 'Sender'}: {originator}\r\n"
    if date and not header.has(b"date"):
        added += f"Date: {date}\r\n"
    if message_id and not header.has(b"message-id"):
        added += f"Message-ID: {message_id}\r\n"
    return added.encode(), content


def _who(header: Header, prefix: bytes) -> tuple[list[str], list[tuple[bytes, int, int]]]:
    """Authors, and the fields that name a sender; of several times that it was sent again the last."""
    fields = header.fields
    authors = [number for number, field in enumerate(fields) if field[0] == prefix + b"from"]
    if prefix and len(authors) > 1:
        # The blocks of fields stand the newest first (RFC 5322 section 3.6.6).
        fields = fields[: authors[1]]
        authors = authors[:1]
    names = [name for number in authors for name in mailboxes(header.value(fields[number]))]
    return names, [field for field in fields if field[0] == prefix + b"sender"]


def mailboxes(value: bytes) -> list[str]:
    """The addresses of a From or Sender field, in small letters; display names and comments are passed over."""
    found: list[str] = []
    plain: list[str] = []
    angle: list[str] | None = None
    closed, quoted, depth = False, False, 0
    characters = iter(value.decode("utf-8", "replace") + ",")
    for one in characters:
        if one == "\\":
            following = next(characters, "")
            if not depth:
                (plain if angle is None else angle).append(one + following)
        elif quoted or (one == '"' and not depth):
            quoted = not quoted if one == '"' else quoted
            (plain if angle is None else angle).append(one)
        elif one == "(":
            depth += 1
        elif depth:
            depth -= one == ")"
        elif one == "<" and angle is None:
            angle = []
        elif one == ">" and angle is not None:
            closed = True
        elif one == "," and (angle is None or closed):
            text = "".join(plain if angle is None else angle)
            if text.strip():
                found.append("".join(text.split()).lower())
            plain, angle, closed = [], None, False
        elif not closed:
            (plain if angle is None else angle).append(one)
    return found


def originator(user: str, domain: str, utf8: bool) -> str | None:
    """
    The address of who has authenticated.

    :param domain: Of users who are known without one.
    :param utf8: Header fields may have characters beyond ASCII (RFC 6532).
    :return: ``None`` where none can be written.
    """
    local, at, own = user.rpartition("@")
    if not at:
        local, own = user, domain
    if not (user.isprintable() and (utf8 or user.isascii())):
        return None
    if not local.startswith('"') and _PLAIN_LOCAL.fullmatch(local) is None and local.isascii():
        escaped = local.replace("\\", "\\\\").replace('"', '\\"')
        local = f'"{escaped}"'
    try:
        return parse_path(f"<{local}@{own}>", null_ok=False)
    except ValueError:
        return None
