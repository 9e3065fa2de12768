"""What a peer that does not read keeps from leaving, and how long that may last (COMMAND_TRANSMIT_TIME ...)."""

from enum import Enum

from jobctl.smtp.client_states import Phase, Step
from jobctl.smtp.client_talk import Talk
from jobctl.smtp.content import END


class Unsent(Enum):
    """What the first octet belongs to that has not left: its words, and the option with its time."""

    COMMAND = ("a command", "command_transmit_time")
    MAIL = ("MAIL FROM", "mail_transmit_time")
    RCPT = ("RCPT TO", "rcpt_transmit_time")
    CONTENT = ("content", "data_transmit_time")
    DOT = ("the end of content", "dot_transmit_time")

    @property
    def words(self) -> str:
        return self.value[0]

    @property
    def option(self) -> str:
        return self.value[1]


_OF_STEP = {
    Step.MAIL: Unsent.MAIL,
    Step.RCPT: Unsent.RCPT,
    Step.CHUNK: Unsent.CONTENT,
    Step.DOT: Unsent.CONTENT,
    Step.LONE_DOT: Unsent.DOT,
}


def unsent(talk: Talk, octets: int) -> Unsent:
    """
    :param octets: How many of those given out last have not left; more than that under TLS, whose records add some.
    """
    if talk.phase is Phase.GREETING:
        return Unsent.COMMAND
    left = talk.written - octets
    for step, transaction, _, end in talk.expected:
        if end > left:
            # Nobody has said anything of this yet, nor of what is behind it: its octets are the first.
            dot = step is Step.DOT and transaction is not None and not transaction.chunked
            if dot and left >= end - len(END):
                return Unsent.DOT
            return _OF_STEP.get(step, Unsent.COMMAND)
    return Unsent.CONTENT
