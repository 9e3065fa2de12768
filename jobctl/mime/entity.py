"""The header of a message or body part, as far as it says how the body is to be read (RFC 2045)."""

import re

from jobctl.mime.fields import fields_of, name_of

_TYPE = re.compile(rb"\s*([!#$%&'*+.0-9A-Z^_`a-z{|}~-]+/[!#$%&'*+.0-9A-Z^_`a-z{|}~-]+)\s*(?:;|\(|$)")
_PARAMETER = re.compile(rb';\s*([^\s=;"]+)\s*=\s*("(?:\\.|[^"\\])*"|[^\s;"(]+)', re.DOTALL)
_TOKEN = re.compile(rb"\s*([^\s;(]+)")
# Longer ones are not looked for (RFC 2046 section 5.1.1 allows 70).
MOST_BOUNDARY = 200


class EntityHeader:
    """
    :param lines: Of the header section, without their ends; the first begins a field.
    :param message: Of a message, not of a part of one.
    :param usual: Its type where it gives none (RFC 2046 section 5.1.5: in a digest another).
    :ivar type: In lower case, ``text/plain``.
    :ivar boundary: Of a multipart, ``b""`` where none is given that can be looked for.
    :ivar encoding: Content-Transfer-Encoding in lower case, ``b""`` for none.
    :ivar doubtful: It says twice how the body is to be read.
    """

    def __init__(self, lines: list[bytes], message: bool, usual: bytes = b"text/plain") -> None:
        self._fields = fields_of(lines)
        self._names = [name_of(field) for field in self._fields]
        self._message = message
        self.type, self.boundary, self.encoding = usual, b"", b""
        self.doubtful = max(map(self._names.count, (b"content-type", b"content-transfer-encoding"))) > 1
        if (value := self._value(b"content-type")) is not None:
            found = _TYPE.match(value)
            self.type = found[1].lower() if found is not None else b"text/plain"
            self.boundary = _boundary(value) if found is not None else b""
        if (value := self._value(b"content-transfer-encoding")) is not None:
            token = _TOKEN.match(value)
            self.encoding = token[1].lower() if token is not None else b""

    def __bytes__(self) -> bytes:
        """As it came, with the blank line."""
        return b"".join((*self._fields, b"\r\n"))

    def encoded(self, encoding: bytes) -> bytes:
        """
        With another Content-Transfer-Encoding and the blank line. A message that is not MIME becomes it:
        what its character set is nobody has said (RFC 1428 section 3).
        """
        field = b"Content-Transfer-Encoding: %b\r\n" % encoding
        fields = list(self._fields)
        if b"content-transfer-encoding" in self._names:
            fields[self._names.index(b"content-transfer-encoding")] = field
        else:
            fields.append(field)
        if self._message and b"mime-version" not in self._names:
            added = [b"MIME-Version: 1.0\r\n"]
            if b"content-type" not in self._names:
                added.append(b"Content-Type: text/plain; charset=unknown-8bit\r\n")
            fields[len(self._fields) : len(self._fields)] = added
        return b"".join((*fields, b"\r\n"))

    def _value(self, name: bytes) -> bytes | None:
        if name not in self._names:
            return None
        field = self._fields[self._names.index(name)]
        return field.partition(b":")[2].replace(b"\r\n", b"").strip()


def _boundary(value: bytes) -> bytes:
    for name, given in _PARAMETER.findall(value):
        if name.lower() == b"boundary":
            text = re.sub(rb"\\(.)", rb"\1", given[1:-1]) if given.startswith(b'"') else given
            text = text.rstrip()
            return text if len(text) <= MOST_BOUNDARY else b""
    return b""
