"""What both sides of the control socket read: a line of JSON, then ``size`` octets of content."""

from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """:ivar size: Octets of content behind the line."""

    @property
    def size(self) -> int: ...


T = TypeVar("T", bound=Sized)


class SizedLines(ABC, Generic[T]):
    """
    Cut octets as they come into lines with their content.

    One at a time, because what follows one may be another protocol (``attach``).

    :param most: Octets that a line may have.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._buffer = bytearray()
        self._at = 0
        self._searched = 0
        self._open: T | None = None

    @abstractmethod
    def _decode(self, line: bytes) -> T:
        """What a line says, without its end; its size is one that may be."""

    @abstractmethod
    def _too_long(self) -> Exception:
        """What to raise of a line that is longer than the most."""

    def feed(self, data: bytes) -> None:
        """Take octets."""
        if self._at:
            del self._buffer[: self._at]
            self._searched -= self._at
            self._at = 0
        self._buffer += data

    def next(self) -> tuple[T, bytes] | None:
        """The next whole line with its content, or ``None``."""
        buffer = self._buffer
        if self._open is None:
            end = buffer.find(b"\n", self._searched)
            if (end if end >= 0 else len(buffer)) - self._at > self._most:
                raise self._too_long()
            if end < 0:
                self._searched = len(buffer)
                return None
            self._open = self._decode(bytes(buffer[self._at : end]))
            self._at = self._searched = end + 1
        found, end = self._open, self._at + self._open.size
        if len(buffer) < end:
            return None
        content = bytes(buffer[self._at : end])
        self._at = self._searched = end
        self._open = None
        return found, content

    def rest(self) -> bytes:
        """All octets that were not part of it; the reader is empty then."""
        left = bytes(self._buffer[self._at :])
        self._buffer.clear()
        self._at = self._searched = 0
        return left
