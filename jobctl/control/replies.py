"""What the server answers, as a client reads it."""

from typing import Any

import msgspec

from jobctl.control.refusals import ControlError

# The answer to one request is read whole; a longer line is not from us.
MAX_ANSWER = 64 * 1024 * 1024


class Trouble(msgspec.Struct, frozen=True):
    """:ivar exit: A status of sysexits.h."""

    text: str
    exit: int = 70


class Answer(msgspec.Struct, frozen=True):
    """
    One answer; which key it has tells what it is.

    :ivar result: The last answer of a request that was carried out.
    :ivar error: The last answer of one that was not.
    :ivar alive: A heartbeat, nothing else.
    :ivar size: Octets of a message that follow.
    """

    id: int = 0
    result: Any = msgspec.UNSET
    error: Trouble | None = None
    item: Any = msgspec.UNSET
    line: str | None = None
    progress: Any = msgspec.UNSET
    alive: bool = False
    size: int = 0

    def value(self) -> Any:
        """
        The result.

        :raises ControlError: It is an error.
        """
        if self.error is not None:
            raise ControlError(self.error.text, self.error.exit)
        return self.result


_answer = msgspec.json.Decoder(Answer)


class AnswerReader:
    """
    Cut what the server sends into answers, each with its octets.

    One at a time, because what follows the answer to ``attach`` is another protocol.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._searched = 0
        self._open: Answer | None = None

    def feed(self, data: bytes) -> None:
        """Take octets."""
        if self._at:
            del self._buffer[: self._at]
            self._searched -= self._at
            self._at = 0
        self._buffer += data

    def next(self) -> tuple[Answer, bytes] | None:
        """
        The next whole answer, or ``None``.

        :raises ValueError: This is not the control socket of a Job Controller.
        """
        buffer = self._buffer
        if self._open is None:
            end = buffer.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(buffer)
                if len(buffer) - self._at > MAX_ANSWER:
                    raise ValueError("an answer without end")
                return None
            self._open = _decode(bytes(buffer[self._at : end]))
            self._at = self._searched = end + 1
        answer, end = self._open, self._at + self._open.size
        if len(buffer) < end:
            return None
        content = bytes(buffer[self._at : end])
        self._at = self._searched = end
        self._open = None
        return answer, content

    def rest(self) -> bytes:
        """All octets that were not part of an answer."""
        left = bytes(self._buffer[self._at :])
        self._buffer.clear()
        self._at = self._searched = 0
        return left


def _decode(line: bytes) -> Answer:
    try:
        answer = _answer.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as why:
        raise ValueError(str(why)) from None
    if not 0 <= answer.size <= MAX_ANSWER:
        raise ValueError("an answer of impossible size")
    return answer
