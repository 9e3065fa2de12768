"""A body part that holds no others, on its way through: as it is, or encoded."""

from jobctl.mime.encoders import Base64, QuotedPrintable, denser_than_quoted
from jobctl.mime.entity import EntityHeader

# How much of a part is looked at before it is decided what becomes of it.
LOOK = 256 * 1024


class Leaf:
    """
    Held until it is known whether it has to be encoded, so that a part which need not be stays as it is.

    :param eight: Octets above 127 must not go out. Of a part longer than :data:`LOOK` nobody knows what
        comes behind: it is encoded.
    :param longest: Nor lines longer than this, as far as the first :data:`LOOK` octets tell.
    """

    def __init__(self, header: EntityHeader, eight: bool, longest: int | None) -> None:
        self._header = header
        self._eight = eight
        self._longest = longest
        self._held: list[bytes] | None = []
        self._octets = 0
        self._encoder: QuotedPrintable | Base64 | None = None

    @property
    def closes_lines(self) -> bool:
        """What has come out ends in CRLF if the content did."""
        return type(self._encoder) is not Base64

    def feed(self, data: bytes) -> bytes:
        """Return header and body as far as it is decided what becomes of them; pieces are cut anywhere."""
        if self._held is None:
            return data if self._encoder is None else self._encoder.feed(data)
        self._held.append(data)
        self._octets += len(data)
        return self._decided(False) if self._octets > LOOK else b""

    def finish(self) -> bytes:
        """Return the rest."""
        begun = self._decided(True) if self._held is not None else b""
        return begun if self._encoder is None else begun + self._encoder.finish()

    def _decided(self, whole: bool) -> bytes:
        held, self._held = b"".join(self._held or ()), None
        ascii = held.isascii()
        if not ((self._eight and not (ascii and whole)) or self._is_long(held)):
            relabelled = self._eight and self._header.encoding in (b"8bit", b"binary")
            return (self._header.encoded(b"7bit") if relabelled else bytes(self._header)) + held
        if self._header.type.startswith(b"text/") and not denser_than_quoted(held):
            self._encoder = QuotedPrintable()
        else:
            self._encoder = Base64()
        return self._header.encoded(self._encoder.name) + self._encoder.feed(held)

    def _is_long(self, held: bytes) -> bool:
        return self._longest is not None and max(map(len, held.split(b"\r\n"))) > self._longest
