"""Frames to octets and back, cut anywhere."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import msgspec

from jobctl.errors import ProtocolViolation
from jobctl.jobprotocol.frames import FROM_CONTROLLER, FROM_PROGRAM, MAX_LINE, PIECE

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
# One decoder each: msgspec builds a parser for the union once.
_from_program: msgspec.json.Decoder[FROM_PROGRAM] = msgspec.json.Decoder(FROM_PROGRAM)
_from_controller: msgspec.json.Decoder[FROM_CONTROLLER] = msgspec.json.Decoder(FROM_CONTROLLER)


def encode(frame: Any, content: bytes = b"") -> bytes:
    """
    One frame as octets; sets its ``size`` to the content's.

    :raises ValueError: More content than :data:`PIECE`, or text that is not Unicode (lone surrogates).
    """
    if len(content) > PIECE:
        raise ValueError(f"a frame carries at most {PIECE} octets, not {len(content)}")
    frame.size = len(content)
    return _encoder.encode(frame) + b"\n" + content


class FrameReader(Generic[T]):
    """
    Cut a stream of octets into frames.

    What is incomplete is kept in the parts it came in and joined once, when the
    rest is there: a large piece that trickles in costs one copy.

    :param decode: Makes a frame value of one line.
    """

    def __init__(self, decode: Callable[[bytes], T]) -> None:
        self._decode = decode
        self._parts: list[bytes] = []
        self._have = 0
        # A frame whose line was read and whose content is still incomplete.
        self._open: T | None = None
        self._size = 0

    @property
    def idle(self) -> bool:
        """Whether the stream could end here: no frame is cut in two."""
        return not self._have and self._open is None

    def feed(self, data: bytes) -> list[tuple[T, bytes]]:
        """As :meth:`frames`, all at once: those that stood before a violation are lost with it."""
        return list(self.frames(data))

    def frames(self, data: bytes) -> Iterator[tuple[T, bytes]]:
        """
        Give out the frames that are now complete, each with its content.

        What stood before a violation has been given out when it is raised: a verdict
        followed by garbage is still a verdict.  Whoever stops half way cannot go on.

        :raises ProtocolViolation: Not a frame, or one beyond the limits; the stream is
            then of no more use.
        """
        if self._have or self._open is not None:
            missing = self._have + len(data) < self._size if self._open is not None else b"\n" not in data
            self._parts.append(data)
            self._have += len(data)
            if missing:
                self._check_line(self._have)
                return
            data = b"".join(self._parts)
            self._parts = []
            self._have = 0
        frame, size = self._open, self._size
        at, length = 0, len(data)
        while True:
            if frame is None:
                end = data.find(b"\n", at)
                if end < 0:
                    break
                frame = self._frame(data[at:end])
                at = end + 1
                size = frame.size  # type: ignore[attr-defined]
                if size and not 0 < size <= PIECE:
                    raise ProtocolViolation(f"a frame announces {size} octets; at most {PIECE} are allowed")
            if length - at < size:
                break
            yield frame, data[at : at + size] if size else b""
            frame = None
            at += size
        self._open, self._size = frame, size
        if at < length:
            self._parts.append(data[at:])
            self._have = length - at
            self._check_line(self._have)

    def _check_line(self, length: int) -> None:
        if length > MAX_LINE:
            raise ProtocolViolation(f"a frame's line is longer than {MAX_LINE} octets")

    def _frame(self, line: bytes) -> T:
        self._check_line(len(line))
        try:
            return self._decode(line)
        # RecursionError: an unknown key may hold brackets without end.
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
            raise ProtocolViolation(f"not a frame: {why}: {line[:80]!r}") from None


def from_program() -> FrameReader[FROM_PROGRAM]:
    """A reader for what a channel program says."""
    return FrameReader(_from_program.decode)


def from_controller() -> FrameReader[FROM_CONTROLLER]:
    """A reader for what the Job Controller says."""
    return FrameReader(_from_controller.decode)
