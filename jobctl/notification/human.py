"""The part of a notification that people read."""

from jobctl.mail.disposition import Disposition
from jobctl.mail.entry import Attempt
from jobctl.mail.envelope import Recipient
from jobctl.mail.trace import rfc5322_date
from jobctl.notification.addresses import Typed, final_of, original_of
from jobctl.notification.facts import TOLD, by_peer, reason
from jobctl.notification.notice import Notice
from jobctl.notification.original import field, quotable_header
from jobctl.notification.texts import COPY, KIND_FILE, PREFIX, SUFFIX, UNSENT, Texts
from jobctl.notification.wording import clean, tidy

_SHOWN_FIELDS = ("Message-ID", "Date", "From", "To", "Subject")
# Attempts that are shown, the last ones; those that say the same count as one.
MOST_ATTEMPTS = 20
# Characters of a reply that people are shown; programs find all of it in the other part.
_MOST_REPLY = 1000


def human_text(case: Notice, texts: Texts) -> str:
    """
    Prefix, the text of the kind, what was tried before, suffix; lines of 75 characters, CRLF line ends.

    :param texts: Complete, as :meth:`Texts.over` makes them.
    """
    values = {
        "H": _header(case),
        "R": _recipients(case, texts),
        "A": texts.age(case.now - case.arrived),
        "L": texts.age((case.until or case.now) - case.now),
        "E": clean(case.envelope_id) or case.unique,
        "P": clean(case.postmaster),
        "N": case.local_host,
        "S": clean(case.envelope.sender) or texts.label("NO_SENDER"),
    }
    kind = texts.filled(KIND_FILE[case.kind], values)
    if case.copy:
        parts = [texts.filled(COPY if case.told else UNSENT, values), kind, _history(case, texts)]
    else:
        parts = [texts.filled(PREFIX, values), kind, _history(case, texts), texts.filled(SUFFIX, values)]
    shown = [part.strip("\n") for part in parts if part.strip()]
    return (
        "\n\n".join("\n\n".join(map(tidy, part.split("\n\n"))) for part in shown).replace("\n", "\r\n")
        + "\r\n"
    )


def _header(case: Notice) -> str:
    header = quotable_header(case.original.content)
    shown = [(name, field(header, name)) for name in _SHOWN_FIELDS]
    return "\n".join(f"  {name}: {value}" for name, value in shown if value)


def _recipients(case: Notice, texts: Texts) -> str:
    by_address = {recipient.address: recipient for recipient in case.envelope.recipients}
    return "\n\n".join(
        _recipient(case, verdict, by_address.get(verdict.recipient) or Recipient(verdict.recipient), texts)
        for verdict in case.verdicts
    )


def _recipient(case: Notice, verdict: Disposition, recipient: Recipient, texts: Texts) -> str:
    final = final_of(recipient, case.addresses)
    original = original_of(recipient)
    lines = [("RECIPIENT_ADDRESS", final.address)]
    if original is not None and not _same(original, final):
        lines.append(("ORIGINAL_ADDRESS", original.address))
    if not case.kind.success:
        lines.append(("REASON", reason(case, verdict, texts)))
    if verdict.reply:
        kind = "smtp;" if by_peer(verdict) else ""
        lines.append(("DIAGNOSTIC_CODE", f"{kind}{_short(clean(verdict.reply))}"))
    if verdict.remote:
        lines.append(("REMOTE_SYSTEM", clean(verdict.remote)))
    return "\n".join(f"  {texts.label(name)} {value}" for name, value in lines)


def _same(one: Typed, other: Typed) -> bool:
    return one.address.lower() == other.address.lower()


def _short(text: str) -> str:
    return text if len(text) <= _MOST_REPLY else f"{text[:_MOST_REPLY]}..."


def _history(case: Notice, texts: Texts) -> str:
    """The last attempts on these recipients; what operators did meanwhile is not the sender's business."""
    told = {verdict.recipient for verdict in case.verdicts}
    tried = [line for line in case.original.history if line.what in TOLD and line.recipient in told]
    if not tried:
        return ""
    runs = _runs(tried)
    lines = [texts.label("HISTORY"), ""]
    if len(runs) > MOST_ATTEMPTS:
        lines.append(f"  ({texts.label('HISTORY_OLDER')})")
    known = {recipient.address: recipient for recipient in case.envelope.recipients}
    for run in runs[-MOST_ATTEMPTS:]:
        recipient = known.get(run[0].recipient) or Recipient(run[0].recipient)
        lines.append(_attempt(run[0], final_of(recipient, case.addresses).address if len(told) > 1 else ""))
        if len(run) > 1:
            again = texts.label("HISTORY_SAME").replace("%C", str(len(run) - 1))
            lines.append(f"    {again.replace('%T', rfc5322_date(run[-1].when))}")
    return "\n".join(lines)


def _runs(tried: list[Attempt]) -> list[list[Attempt]]:
    """Attempts on one recipient that brought the same words, in a row, in the order of the first of each."""
    runs: list[list[Attempt]] = []
    last: dict[str, list[Attempt]] = {}
    for line in tried:
        run = last.get(line.recipient)
        if run is not None and (run[0].text, run[0].host) == (line.text, line.host):
            run.append(line)
        else:
            last[line.recipient] = run = [line]
            runs.append(run)
    return runs


def _attempt(line: Attempt, recipient: str) -> str:
    who = f"{recipient}: " if recipient else ""
    where = f" ({clean(line.host)})" if line.host else ""
    return f"  {rfc5322_date(line.when)}  {who}{_short(clean(line.text))}{where}"
