"""Frames to octets and back, cut anywhere."""

from collections.abc import Callable
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

    :raises ValueError: More content than :data:`PIECE`.
    """
    if len(content) > PIECE:
        raise ValueError(f"a frame carries at most {PIECE} octets, not {len(content)}")
    frame.size = len(content)
    return _encoder.encode(frame) + b"\n" + content


class FrameReader(Generic[T]):
    """
    Cut a stream of octets into frames.

    :ivar decode: Makes a frame value of one line.
    """

    def __init__(self, decode: Callable[[bytes], T]) -> None:
        self._decode = decode
        self._buffer = bytearray()
        self._open: T | None = None

    @property
    def idle(self) -> bool:
        """Whether the stream could end here: no frame is cut in two."""
        return not self._buffer and self._open is None

    def feed(self, data: bytes) -> list[tuple[T, bytes]]:
        """
        Return the frames that are now complete, each with its content.

        :raises ProtocolViolation: Not a frame, or one beyond the limits; the stream is
            then of no more use.
        """
        buffer = self._buffer
        buffer += data
        frames: list[tuple[T, bytes]] = []
        at = 0
        while True:
            if self._open is None:
                end = buffer.find(b"\n", at)
                if end < 0:
                    if len(buffer) - at > MAX_LINE:
                        raise ProtocolViolation(f"a frame's line is longer than {MAX_LINE} octets")
                    break
                try:
                    frame = self._decode(bytes(buffer[at:end]))
                except (msgspec.DecodeError, UnicodeDecodeError) as why:
                    raise ProtocolViolation(f"not a frame: {why}: {bytes(buffer[at : min(end, at + 80)])!r}") from None
                at = end + 1
                size: int = frame.size  # type: ignore[attr-defined]
                if not size:
                    frames.append((frame, b""))
                    continue
                if not 0 < size <= PIECE:
                    raise ProtocolViolation(f"a frame announces {size} octets; at most {PIECE} are allowed")
                self._open = frame
            size = self._open.size  # type: ignore[attr-defined]
            if len(buffer) - at < size:
                break
            frames.append((self._open, bytes(buffer[at : at + size])))
            self._open = None
            at += size
        del buffer[:at]
        return frames


def from_program() -> FrameReader[FROM_PROGRAM]:
    """A reader for what a channel program says."""
    return FrameReader(_from_program.decode)


def from_controller() -> FrameReader[FROM_CONTROLLER]:
    """A reader for what the Job Controller says."""
    return FrameReader(_from_controller.decode)
