"""
Delivery status notifications: what a sender is told about recipients.

The format is RFC 3464 (``message/delivery-status``) inside RFC 6522
(``multipart/report``).  The original is quoted octet for octet and never
parsed beyond its header's end.
"""

import re
from email.utils import formatdate
from enum import StrEnum

import msgspec

from jobctl.mail.disposition import Disposition
from jobctl.mail.entry import Attempt
from jobctl.mail.envelope import Envelope, Recipient

# Above this the original is quoted by its header alone, as if RET=HDRS had been asked
# (the original's content_return_block_limit).
QUOTE_LIMIT = 1024 * 1024

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")
_WIDTH = 76


class Kind(StrEnum):
    """
    What a notification tells.

    The first three are failures: refused, too old, given back by an operator.
    ``relayed`` went to a system that will tell nothing more (RFC 3464 section 2.3.3).
    """

    FAILED = "failed"
    TIMEDOUT = "timedout"
    BOUNCED = "bounced"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"

    @property
    def failure(self) -> bool:
        """Recipients are given up."""
        return self in _FAILURES


_FAILURES = frozenset({Kind.FAILED, Kind.TIMEDOUT, Kind.BOUNCED})
_WORD = {Kind.DELAYED: "DELAY", Kind.DELIVERED: "SUCCESS", Kind.RELAYED: "SUCCESS"}
_SUBJECT = {
    Kind.FAILED: "Delivery has failed",
    Kind.TIMEDOUT: "Delivery has timed out and failed",
    Kind.BOUNCED: "Delivery has been manually aborted",
    Kind.DELAYED: "Delivery has been delayed",
    Kind.DELIVERED: "Delivery has been successful",
    Kind.RELAYED: "Message has been relayed",
}
_ACTION = {Kind.DELAYED: "delayed", Kind.DELIVERED: "delivered", Kind.RELAYED: "relayed"}
_SENTENCE = {
    Kind.FAILED: "It could not be delivered to the following recipients, and will not be tried again:",
    Kind.DELAYED: "It has not been delivered to the following recipients yet. It is still tried:",
    Kind.DELIVERED: "It has been delivered to the following recipients:",
    Kind.RELAYED: "It has been passed on to a system that will not report on these recipients:",
}


class Original(msgspec.Struct, frozen=True):
    """
    What is known of the message that a notification is about.

    :ivar content: The whole of it or at least its header.
    :ivar history: What was tried before, oldest first.
    """

    content: bytes = b""
    history: tuple[Attempt, ...] = ()


class Notice(msgspec.Struct, frozen=True):
    """
    All that a notification tells about one message.

    :ivar envelope: As it was queued; ``sender`` is whom to tell.
    :ivar verdicts: The recipients that it is about, with what became of each.
    :ivar octets: The original's whole size.
    :ivar arrived: Epoch seconds, as are ``now`` and ``until``, when it will be given up.
    :ivar channel_host: Official host name of the channel, a comment beside our name.
    :ivar envelope_id: Our own id of its arrival, for the reader who asks us about it.
    :ivar unique: Text for Message-ID and boundary, ``[0-9A-Za-z.]+``; never used before.
    """

    kind: Kind
    envelope: Envelope
    verdicts: tuple[Disposition, ...]
    original: Original
    octets: int
    arrived: float
    now: float
    local_host: str
    channel_host: str
    postmaster: str
    envelope_id: str
    unique: str
    until: float | None = None


def wants(envelope: Envelope, recipient: Recipient, kind: Kind) -> bool:
    """
    Whether the sender is to hear of it (RFC 3461 section 4.1, RFC 5321 section 6.1).

    Failures and delays are told unless NOTIFY says otherwise, success only where it asks for it.
    """
    if not envelope.sender:
        return False
    word = _WORD.get(kind, "FAILURE")
    if recipient.notify is None:
        return word != "SUCCESS"
    return word in recipient.notify.upper().split(",")


def header_of(content: bytes) -> bytes:
    """The header section with its last line end, or everything when no blank line ends it."""
    if content.startswith(b"\r\n"):
        return b""
    end = content.find(b"\r\n\r\n")
    return content if end < 0 else content[: end + 2]


def report(case: Notice) -> bytes:
    """
    The content of the notification, CRLF line ends.

    The caller sends it with an empty envelope sender (RFC 3464 section 2) and,
    when it has octets above 127, as 8BITMIME.
    """
    boundary = f"Boundary_(ID_{case.unique})"
    # RET is about failures; nothing else brings more than the header back (RFC 3461 section 4.3).
    whole = (
        case.kind.failure
        and case.envelope.ret != "HDRS"
        and case.octets <= QUOTE_LIMIT
        and len(case.original.content) == case.octets
    )
    quoted = case.original.content if whole else header_of(case.original.content)
    if quoted and not quoted.endswith(b"\r\n"):
        quoted += b"\r\n"
    eight = not quoted.isascii()
    parts = (
        _part(boundary, "text/plain; charset=us-ascii", _human_text(case)),
        _part(boundary, "message/delivery-status", _status_text(case)),
    )
    last = "message/rfc822" if whole else "text/rfc822-headers"
    encoding = "Content-Transfer-Encoding: 8bit\r\n" if eight else ""
    top = (
        f"Date: {formatdate(case.now)}\r\n"
        f"From: Internet Mail Delivery <{_clean(case.postmaster)}>\r\n"
        f"To: {_clean(case.envelope.sender)}\r\n"
        f"Subject: Delivery Notification: {_SUBJECT[case.kind]}\r\n"
        f"Message-ID: <{case.unique}@{case.local_host}>\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="{boundary}"\r\n'
        f"{encoding}\r\n"
        "This is a report in the format of RFC 3464.\r\n\r\n"
    )
    return b"".join(
        (
            top.encode("ascii"),
            *parts,
            f"--{boundary}\r\nContent-Type: {last}\r\n{encoding}\r\n".encode("ascii"),
            quoted,
            f"\r\n--{boundary}--\r\n".encode("ascii"),
        )
    )


def _part(boundary: str, kind: str, text: str) -> bytes:
    return f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n{text}\r\n".encode("ascii")


def _human_text(case: Notice) -> str:
    header = header_of(case.original.content)
    lines = ["This report is about a message you sent with these header fields:", ""]
    for name in ("Message-ID", "Date", "From", "To", "Subject"):
        value = _field(header, name)
        if value:
            lines.append(f"  {name}: {value}")
    lines += ["", _SENTENCE.get(case.kind, _SENTENCE[Kind.FAILED])]
    for verdict in case.verdicts:
        lines += ["", f"  Recipient address: {_clean(verdict.recipient)}"]
        lines.append(f"  Reason: {_reason(case, verdict)}")
        if verdict.reply:
            lines.append(f"  Diagnostic code: {_diagnostic(verdict)}")
        if verdict.remote:
            lines.append(f"  Remote system: {_remote(verdict)}")
    lines += ["", f"Asked about it, please quote {_clean(case.envelope_id) or case.unique}.", ""]
    return "\r\n".join(lines) + "\r\n"


def _reason(case: Notice, verdict: Disposition) -> str:
    if case.kind in (Kind.TIMEDOUT, Kind.DELAYED):
        days = (case.now - case.arrived) / 86400
        age = f"{days:.0f} days" if days >= 2 else f"{(case.now - case.arrived) / 3600:.0f} hours"
        return f"unable to deliver this message after {age}"
    if case.kind is Kind.BOUNCED:
        return "given back by the postmaster of this host"
    if not case.kind.failure:
        return "the message was taken"
    if verdict.remote:
        return "the remote system has rejected the address or the message"
    return "the address or the message is not acceptable"


def _status_text(case: Notice) -> str:
    originals = {recipient.address: recipient for recipient in case.envelope.recipients}
    lines = []
    if case.envelope.envid is not None:
        lines.append(f"Original-Envelope-Id: {_clean(decode_xtext(case.envelope.envid))}")
    lines.append(f"Reporting-MTA: dns;{case.local_host} ({_clean(case.channel_host)})")
    lines.append(f"Arrival-Date: {formatdate(case.arrived)}")
    for verdict in case.verdicts:
        lines.append("")
        original = originals.get(verdict.recipient)
        if original is not None and original.orcpt:
            lines.append(f"Original-Recipient: {_clean(decode_xtext(original.orcpt))}")
        lines.append(f"Final-Recipient: rfc822;{_clean(verdict.recipient)}")
        lines.append(f"Action: {_ACTION.get(case.kind, 'failed')}")
        lines.append(f"Status: {_status(case, verdict)} ({_reason(case, verdict)})")
        if verdict.remote:
            lines.append(f"Remote-MTA: dns;{_remote(verdict)}")
        if verdict.reply:
            lines.append(f"Diagnostic-Code: {_diagnostic(verdict)}")
        if case.until is not None and case.kind is Kind.DELAYED:
            lines.append(f"Will-Retry-Until: {formatdate(case.until)}")
    return "\r\n".join(_fold(line) for line in lines) + "\r\n"


def _status(case: Notice, verdict: Disposition) -> str:
    """A failed Action needs class 5; what ran out of time may keep class 4 (RFC 3464 section 2.3.4)."""
    if case.kind in (Kind.TIMEDOUT, Kind.DELAYED):
        return "4.4.7"
    kind = "5" if case.kind.failure else "2"
    return verdict.status if verdict.status.startswith(f"{kind}.") else f"{kind}.0.0"


def _diagnostic(verdict: Disposition) -> str:
    """``smtp`` only for what a peer said; our own words are ``x-local`` (RFC 3464 section 2.3.6)."""
    kind = "smtp" if verdict.remote and verdict.reply[:3].isdigit() else "x-local"
    return f"{kind};{_clean(verdict.reply)}"


def _remote(verdict: Disposition) -> str:
    name = _clean(verdict.remote)
    return f"{name} ({_clean(verdict.transport)})" if verdict.transport else name


def _field(header: bytes, name: str) -> str:
    """The first field of that name, unfolded, made printable."""
    found = re.search(rb"(?im)^" + name.encode() + rb"[ \t]*:((?:.*\r?\n[ \t])*.*)$", header)
    return _clean(found[1].decode("ascii", "replace")).strip()[:200] if found else ""


def _clean(text: str) -> str:
    """Nothing a remote said can begin a new line or field (pitfall: newline injection)."""
    return _UNPRINTABLE.sub(" ", text).strip()


def decode_xtext(text: str) -> str:
    """RFC 3461 section 4: ``+41`` is ``A``."""
    return _XTEXT.sub(lambda found: chr(int(found[1], 16)), text)


def _fold(line: str) -> str:
    """RFC 5322 section 2.2.3: break before a blank so that lines stay near 76 characters."""
    folded = []
    while len(line) > _WIDTH:
        at = line.rfind(" ", 1, _WIDTH)
        if at <= 0 or not line[:at].strip():
            at = line.find(" ", _WIDTH)
        if at <= 0:
            break
        folded.append(line[:at])
        line = line[at:]
    return "\r\n".join([*folded, line])
