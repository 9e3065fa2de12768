"""Requests and answers as octets: a line of JSON, then ``size`` octets of content."""

from typing import Any

import msgspec

from jobctl.control.requests import MAX_LINE, PIECE, AnyRequest, Request
from jobctl.errors import ProtocolViolation

_encode = msgspec.json.Encoder().encode
_request: msgspec.json.Decoder[AnyRequest] = msgspec.json.Decoder(AnyRequest)


class Misfit(msgspec.Struct, frozen=True):
    """
    A request that is none: JSON, but not an operation with the right keys.

    :ivar text: What is wrong with it; set by the reader.
    """

    id: int = 0
    size: int = 0
    text: str = ""


_misfit = msgspec.json.Decoder(Misfit)


class RequestReader:
    """
    Cut what a client sends into requests, one at a time.

    One at a time because a request may change what the octets after it mean
    (``attach``), and because a client that sends many is not read further
    while some are open.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._searched = 0
        self._open: Request | Misfit | None = None

    def feed(self, data: bytes) -> None:
        """Take octets."""
        if self._at:
            del self._buffer[: self._at]
            self._searched -= self._at
            self._at = 0
        self._buffer += data

    def next(self) -> tuple[Request | Misfit, bytes] | None:
        """
        The next whole request with its content, or ``None``.

        :raises ProtocolViolation: Not a request, or one beyond the limits; the connection is of
            no more use.
        """
        buffer = self._buffer
        if self._open is None:
            end = buffer.find(b"\n", max(self._searched, self._at))
            if (end if end >= 0 else len(buffer)) - self._at > MAX_LINE:
                raise ProtocolViolation(f"a line is longer than {MAX_LINE} octets")
            if end < 0:
                self._searched = len(buffer)
                return None
            request = self._decode(bytes(buffer[self._at : end]))
            if not 0 <= request.size <= PIECE:
                raise ProtocolViolation(
                    f"a request announces {request.size} octets; at most {PIECE} are allowed"
                )
            self._at = self._searched = end + 1
            if not request.size:
                return request, b""
            self._open = request
        request = self._open
        end = self._at + request.size
        if len(buffer) < end:
            return None
        content = bytes(buffer[self._at : end])
        self._at = self._searched = end
        self._open = None
        return request, content

    def rest(self) -> bytes:
        """All octets that were not part of a request; the reader is empty then."""
        left = bytes(self._buffer[self._at :])
        self._buffer.clear()
        self._at = self._searched = 0
        return left

    @staticmethod
    def _decode(line: bytes) -> Request | Misfit:
        try:
            return _request.decode(line)
        except msgspec.ValidationError as why:
            text = str(why)
        except (msgspec.DecodeError, UnicodeDecodeError) as why:
            raise ProtocolViolation(f"not a line of JSON: {why}") from None
        try:
            head = _misfit.decode(line)
        except msgspec.ValidationError as why:
            raise ProtocolViolation(f"not a request: {why}") from None
        return Misfit(head.id, head.size, text)


def result(request: int, value: Any) -> bytes:
    """The last answer to a request that was carried out."""
    return _encode({"id": request, "result": value}) + b"\n"


def error(request: int, text: str, exit_status: int) -> bytes:
    """The last answer to a request that was not; ``id`` 0: about the connection."""
    return _encode({"id": request, "error": {"text": text, "exit": exit_status}}) + b"\n"


def partial(request: int, key: str, value: Any) -> bytes:
    """An answer before the last: ``item``, ``line``, ``progress``, ``alive``."""
    return _encode({"id": request, key: value}) + b"\n"


def piece(request: int, data: bytes) -> bytes:
    """Octets of a message."""
    return _encode({"id": request, "size": len(data)}) + b"\n" + data
