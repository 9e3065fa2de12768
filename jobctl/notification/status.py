"""The part of a notification that programs read (RFC 3464 section 2, RFC 6533 section 4)."""

from jobctl.mail.disposition import Disposition
from jobctl.mail.envelope import Recipient
from jobctl.mail.trace import rfc5322_date
from jobctl.mail.xtext import decode_xtext
from jobctl.notification.addresses import final_of, original_of
from jobctl.notification.facts import by_peer, outcome, status
from jobctl.notification.notice import Kind, Notice
from jobctl.notification.texts import Texts
from jobctl.notification.wording import clean, clean_ascii, fold

# Characters of a reply: a program that wants more of it has gone wrong.
_MOST_REPLY = 4000


def status_text(case: Notice, english: Texts, unicode: bool) -> str:
    """
    The fields about the message, and a group of fields for each recipient; CRLF line ends.

    :param english: For the comments beside the statuses, whatever language people are addressed in.
    :param unicode: For ``message/global-delivery-status``, where UTF-8 may stand.
    """
    by_address = {recipient.address: recipient for recipient in case.envelope.recipients}
    groups = [_about_message(case)]
    for verdict in case.verdicts:
        recipient = by_address.get(verdict.recipient) or Recipient(verdict.recipient)
        groups.append(_about_recipient(case, verdict, recipient, english, unicode))
    tidy = clean if unicode else clean_ascii
    return "\r\n".join(
        "".join(f"{fold(f'{name}: {tidy(value)}')}\r\n" for name, value in group) for group in groups
    )


def _about_message(case: Notice) -> list[tuple[str, str]]:
    fields = []
    if case.envelope.envid is not None:
        fields.append(("Original-Envelope-Id", decode_xtext(case.envelope.envid)))
    fields.append(("Reporting-MTA", f"dns;{case.local_host} ({case.channel_host})"))
    fields.append(("Arrival-Date", rfc5322_date(case.arrived)))
    if case.envelope.by is not None:
        # RFC 2852 section 5.
        fields.append(("Deliver-By-Date", rfc5322_date(case.envelope.by.deadline)))
    # RFC 4865: when it was to be released, as its sender has said it.
    if case.envelope.hold_for is not None:
        fields.append(("Future-Release-Request", f"for;{case.envelope.hold_for}"))
    elif case.envelope.hold_until is not None:
        fields.append(("Future-Release-Request", f"until;{case.envelope.hold_until}"))
    return fields


def _about_recipient(
    case: Notice, verdict: Disposition, recipient: Recipient, english: Texts, unicode: bool
) -> list[tuple[str, str]]:
    fields = []
    original = original_of(recipient)
    if original is not None:
        fields.append(("Original-Recipient", original.written(unicode)))
    fields.append(("Final-Recipient", final_of(recipient, case.addresses).written(unicode)))
    fields.append(("Action", case.kind.action))
    fields.append(("Status", f"{status(case, verdict)} ({_comment(outcome(case, verdict, english))})"))
    if verdict.remote:
        fields.append(("Remote-MTA", _remote(verdict)))
    if verdict.reply:
        kind = "smtp" if by_peer(verdict) else "x-local"
        fields.append(("Diagnostic-Code", f"{kind};{verdict.reply[:_MOST_REPLY]}"))
    if case.kind is Kind.DELAYED and case.until is not None:
        fields.append(("Will-Retry-Until", rfc5322_date(case.until)))
    return fields


def _remote(verdict: Disposition) -> str:
    return (
        f"dns;{verdict.remote} ({_comment(verdict.transport)})"
        if verdict.transport
        else f"dns;{verdict.remote}"
    )


def _comment(text: str) -> str:
    """What can stand in a comment: parentheses would end it."""
    return text.replace("\\", "/").replace("(", "[").replace(")", "]")
