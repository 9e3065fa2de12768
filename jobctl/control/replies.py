"""What the server answers, as a client reads it."""

from typing import Any

import msgspec

from jobctl.control.refusals import ControlError
from jobctl.control.sized_lines import SizedLines

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


class AnswerReader(SizedLines[Answer]):
    """
    Cut what the server sends into answers.

    After :exc:`ValueError` this is not the control socket of a Job Controller.
    """

    def __init__(self) -> None:
        super().__init__(MAX_ANSWER)

    def _decode(self, line: bytes) -> Answer:
        try:
            answer = _answer.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as why:
            raise ValueError(str(why)) from None
        if not 0 <= answer.size <= MAX_ANSWER:
            raise ValueError("an answer of impossible size")
        return answer

    def _too_long(self) -> Exception:
        return ValueError("an answer without end")
