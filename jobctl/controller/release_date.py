"""When a message may go that its sender wants to be kept (FUTURERELEASE, RFC 4865)."""

from jobctl.controller.refusals import Refusal
from jobctl.mail.envelope import Envelope
from jobctl.mail.moment import parse_moment


def hold_until(envelope: Envelope, now: float) -> float:
    """
    When a message may be released.

    :param now: Epoch seconds, as is the result.
    :raises Refusal: The date is none.
    """
    if envelope.hold_for is not None:
        return now + envelope.hold_for
    try:
        return parse_moment(envelope.hold_until or "")
    except ValueError:
        raise Refusal(501, "5.5.4", "HOLDUNTIL: there is no such date") from None
