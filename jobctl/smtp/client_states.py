"""What a client dialogue can be waiting for."""

from enum import IntEnum

from jobctl.config.tcp_settings import TcpOptions


class Phase(IntEnum):
    """
    Where the session stands.

    RESETTING: RSET is out, or ETRN, and nothing may begin before its reply. ENDING: nothing more may begin; QUIT
    goes out after what is open.
    """

    GREETING = 0
    READY = 1
    RESETTING = 2
    ENDING = 3
    CLOSED = 4


class Step(IntEnum):
    """What a reply is the reply to."""

    BANNER = 0
    INITIAL = 1
    EHLO = 2
    HELO = 3
    MAIL = 4
    RCPT = 5
    DATA = 6
    DOT = 7
    LONE_DOT = 8
    RSET = 9
    QUIT = 10
    STARTTLS = 11
    TLS = 12
    AUTH = 13
    ETRN = 14
    CHUNK = 15

    @property
    def words(self) -> str:
        """For ``timeout waiting for ...``."""
        return _WORDS[self]


_WORDS = {
    Step.BANNER: "the banner",
    Step.INITIAL: "the reply to the initial command",
    Step.EHLO: "the reply to EHLO",
    Step.HELO: "the reply to HELO",
    Step.MAIL: "the reply to MAIL FROM",
    Step.RCPT: "the reply to RCPT TO",
    Step.DATA: "the reply to DATA",
    Step.DOT: "the reply to the end of content",
    Step.LONE_DOT: "the reply to the end of content",
    Step.RSET: "the reply to RSET",
    Step.QUIT: "the reply to QUIT",
    Step.STARTTLS: "the reply to STARTTLS",
    Step.TLS: "the TLS handshake",
    Step.AUTH: "the reply to AUTH",
    Step.ETRN: "the reply to ETRN",
    Step.CHUNK: "the reply to a chunk of content",
}

_OPTION = {
    Step.BANNER: "status_mail_receive_time",
    Step.EHLO: "status_mail_receive_time",
    Step.HELO: "status_mail_receive_time",
    Step.MAIL: "status_mail_receive_time",
    Step.RCPT: "status_rcpt_receive_time",
    Step.CHUNK: "status_data_receive_time",
}


def reply_seconds(step: Step, options: TcpOptions, recipients: int, octets: int) -> float:
    """
    How long a reply may take.

    :param recipients: Of the message whose content has ended; ``octets`` its size.
    """
    if step is Step.DOT:
        return options.dot_reply_seconds(recipients, octets)
    return options.seconds(_OPTION.get(step, "status_receive_time"))
