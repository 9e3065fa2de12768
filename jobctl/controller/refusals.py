"""Why a message is not accepted: the reply to give."""

from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.errors import JobctlError, StoreError, StoreFull
from jobctl.mail.reply import Reply

log = Logger()


class Refusal(JobctlError):
    """A message is not accepted; nothing of it was kept.  ``code`` and ``status`` are the reply to give."""

    def __init__(self, code: int, status: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.status = status
        self.text = text


def refusal_for(why: BaseException | None) -> Refusal:
    """
    What a client is told about an exception.

    Never 5xx for our own trouble: whatever it was, the client can try again later.
    """
    if isinstance(why, Refusal):
        return why
    if isinstance(why, StoreFull):
        return Refusal(452, "4.3.1", "Insufficient system storage")
    if not isinstance(why, StoreError | OSError):
        log.failure("unexpected, while mail came in", failure=Failure(why))
    return Refusal(451, "4.3.0", "The message could not be stored; try again later")


def too_large() -> Refusal:
    """RFC 1870 section 6.1, RFC 3463 X.3.4."""
    return Refusal(552, "5.3.4", "The message is larger than this host accepts")


def refused(reply: Reply) -> Refusal:
    """The same with the words of an access table."""
    status = reply.enhanced or f"{reply.code // 100}.7.1"
    return Refusal(reply.code, status, reply.text.removeprefix(status).strip())


def unknown_recipient(address: str) -> Refusal:
    """RFC 3463 X.1.1, in the words of the original."""
    return Refusal(550, "5.1.1", f"unknown or illegal alias: {address}")
