"""One message handed to a job: what is still owed a verdict, and which verdicts can be."""

import re

from jobctl.errors import ChannelViolation
from jobctl.jobprotocol.frames import MAX_REPLY, Message, Report
from jobctl.mail.disposition import Disposition, Verdict

# RFC 3463 section 2: class.subject.detail.
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_CLASS = {Verdict.DELIVERED: "2", Verdict.RELAYED: "2", Verdict.DEFERRED: "4", Verdict.FAILED: "5"}
_SCOPES = frozenset({"recipient", "host", "local"})


def check_verdict(verdict: Verdict, status: str, reply: str) -> None:
    """
    :raises ChannelViolation: The status is none of RFC 3463 or of another class than the verdict,
        or the reply has no end.
    """
    if status and (status[0] != _CLASS[verdict] or _STATUS.fullmatch(status) is None):
        raise ChannelViolation(f"status {status[:20]!r} does not go with the verdict {verdict.value}")
    if len(reply) > MAX_REPLY:
        raise ChannelViolation(f"a reply of {len(reply)} characters; at most {MAX_REPLY} are allowed")


class Assignment:
    """
    A message that a job holds.

    :ivar frame: As it was assigned.
    :ivar sent: Its final dot was announced: it may have been delivered even without a verdict.
    :ivar untouched: The job ended before any of it had been written.
    :ivar damage: Why its content could not be read to the end, ``""`` when it could.
    """

    __slots__ = ("_open", "_settled", "damage", "frame", "sent", "untouched")

    def __init__(self, frame: Message) -> None:
        self.frame = frame
        self.sent = self.untouched = False
        self.damage = ""
        # Made when a verdict names a recipient: most messages get one verdict for all.
        self._open: set[str] | None = None
        self._settled: dict[str, Disposition] = {}

    @property
    def recipients(self) -> list[str]:
        """The addresses that need a verdict."""
        envelope = self.frame.envelope
        return [] if envelope is None else [recipient.address for recipient in envelope.recipients]

    def settle(self, disposition: Disposition) -> None:
        """:raises ChannelViolation: Not a recipient here, a second verdict, or one that cannot be."""
        who = disposition.recipient
        if self._open is None:
            self._open = set(self.recipients)
        if who not in self._open:
            what = "a second verdict for" if who in self._settled else "no recipient"
            raise ChannelViolation(f"{what} {who[:320]!r} in {self.frame.id}")
        check_verdict(disposition.verdict, disposition.status, disposition.reply)
        self._open.remove(who)
        self._settled[who] = disposition

    def report(self, report: Report) -> Report | None:
        """
        Take verdicts.

        :return: Once every recipient has one, a single report with all of them; else ``None``.
        :raises ChannelViolation: As :meth:`settle`; what was settled before remains.
        """
        if report.scope not in _SCOPES:
            raise ChannelViolation(f"no scope {report.scope[:20]!r}")
        if report.retry is not None and report.retry < 0:
            raise ChannelViolation("a retry hint in the past")
        if report.verdict is not None:
            check_verdict(report.verdict, report.status, report.reply)
        for disposition in report.results:
            self.settle(disposition)
        if report.verdict is None and (self._open is None or self._open):
            return None
        if self._settled:
            report.results = tuple(self._settled.values())
        return report

    def ended(self, how: str) -> list[Disposition]:
        """
        Every verdict.  Whoever has none is deferred: a program that dies is
        our fault, never the recipient's.
        """
        reply = f"451 4.3.0 channel program {how}"
        return [
            self._settled.get(who) or Disposition(who, Verdict.DEFERRED, "4.3.0", reply)
            for who in self.recipients
        ]
