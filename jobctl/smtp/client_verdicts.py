"""What a reply means for a recipient (RFC 5321 section 4.2.1, RFC 3463)."""

from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.reply import Reply
from jobctl.smtp.client_states import Step

# Subject and detail where the peer gave no enhanced code.
_DETAIL = {Step.MAIL: "1.0", Step.RCPT: "1.1", Step.DATA: "0.0", Step.DOT: "6.0"}


def refused(recipient: str, step: Step, reply: Reply, permanent_552: tuple[str, ...]) -> Disposition:
    """
    The verdict on a recipient whom a 4xx or 5xx reply concerns.

    A 552 to RCPT is temporary, because it once meant too many recipients (RFC 5321 section
    4.5.3.1.10), unless its text is among ``permanent_552``.
    """
    permanent = reply.code >= 500
    if permanent and reply.code == 552 and step is Step.RCPT:
        permanent = any(text and reply.text.startswith(text) for text in permanent_552)
    kind = "5" if permanent else "4"
    detail = reply.enhanced[2:] if reply.enhanced else _default_detail(step, reply)
    verdict = Verdict.FAILED if permanent else Verdict.DEFERRED
    return Disposition(recipient, verdict, f"{kind}.{detail}", str(reply))


def taken(recipient: str, reply: Reply, relayed: bool, timed: bool = False) -> Disposition:
    """
    The verdict on a recipient whose message the peer has taken.

    :param relayed: The peer does DSN itself; ``timed``: and minds the message's deadline.
    """
    verdict = Verdict.RELAYED if relayed else Verdict.DELIVERED
    return Disposition(recipient, verdict, reply.enhanced or "2.0.0", str(reply), timed=timed)


def unanswered(recipient: str, status: str, why: str) -> Disposition:
    """The verdict on a recipient of whom the peer has not spoken: nothing permanent can be known."""
    return Disposition(recipient, Verdict.DEFERRED, status, why)


def temporary(status: str) -> str:
    """A status of what is tried again, whatever class the peer named: a 421 may come with 5.7.1."""
    return f"4{status[1:]}"


def _default_detail(step: Step, reply: Reply) -> str:
    if reply.code == 552:
        return "2.3" if step is Step.RCPT else "3.4"
    if reply.code < 500 and step is not Step.MAIL:
        return "0.0"
    return _DETAIL[step]
