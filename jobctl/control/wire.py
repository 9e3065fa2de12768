"""Requests and answers as octets: a line of JSON, then ``size`` octets of content."""

from typing import Any

import msgspec

from jobctl.control.requests import MAX_LINE, PIECE, AnyRequest, Request
from jobctl.control.sized_lines import SizedLines
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


class RequestReader(SizedLines[Request | Misfit]):
    """
    Cut what a client sends into requests.

    A client that sends many is not read further while some are open.  After
    :exc:`ProtocolViolation` (not a request, or one beyond the limits) the connection is of no more use.
    """

    def __init__(self) -> None:
        super().__init__(MAX_LINE)

    def _decode(self, line: bytes) -> Request | Misfit:
        request = _understood(line)
        if not 0 <= request.size <= PIECE:
            raise ProtocolViolation(f"a request announces {request.size} octets; at most {PIECE} are allowed")
        return request

    def _too_long(self) -> Exception:
        return ProtocolViolation(f"a line is longer than {MAX_LINE} octets")


def _understood(line: bytes) -> Request | Misfit:
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
