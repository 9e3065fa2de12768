"""Notifications of one entry: who is told, in what form, and by which way they go."""

from collections.abc import Callable, Sequence

from twisted.logger import Logger

from jobctl.config.settings import Settings
from jobctl.controller.intake import Intake
from jobctl.controller.refusals import Refusal
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.entry import Origin, StoredEntry, Submission
from jobctl.mail.envelope import Envelope, Recipient, Source
from jobctl.mail.notification import Kind, Notice, Original, report, wants

log = Logger()

NOTHING = Original()
_DELAYED = "4.4.7"


class Notices:
    """
    Makes notifications for settlements; decides neither when nor whether a recipient is given up.

    What it gives belongs into :attr:`Settlement.notifications`, so that it is queued in the commit
    of what it tells of.  Nothing is made for an empty sender.

    :param unique: Gives a text never used before.
    """

    def __init__(self, settings: Settings, intake: Intake, unique: Callable[[], str]) -> None:
        self.reconfigure(settings)
        self._intake = intake
        self._unique = unique

    def reconfigure(self, settings: Settings) -> None:
        """What is told from now on is told by these."""
        self.settings = settings

    def told_of(self, stored: StoredEntry, verdicts: Sequence[Disposition]) -> bool:
        """Whether anybody is to be told of an attempt; if not, nothing needs to be read for it."""
        return any(self._told(stored, some, kind) for kind, some in self._kinds(stored, verdicts))

    def attempted(
        self, stored: StoredEntry, verdicts: Sequence[Disposition], *, now: float, original: Original
    ) -> tuple[Submission, ...]:
        """One attempt is over: failures are told, and success where it was asked for."""
        made: tuple[Submission, ...] = ()
        for kind, some in self._kinds(stored, verdicts):
            told = self._told(stored, some, kind)
            if told:
                made += self._made(stored, told, kind, now=now, original=original)
        return made

    def _kinds(
        self, stored: StoredEntry, verdicts: Sequence[Disposition]
    ) -> list[tuple[Kind, list[Disposition]]]:
        """What an attempt's final verdicts are to their sender; nearly always nothing."""
        found: dict[Kind, list[Disposition]] = {}
        asked = any(one.notify is not None for one in stored.envelope.recipients)
        for one in verdicts:
            if one.verdict is Verdict.FAILED:
                found.setdefault(Kind.FAILED, []).append(one)
            elif asked and one.verdict is Verdict.DELIVERED:
                found.setdefault(self._reached(stored), []).append(one)
        return list(found.items())

    def _reached(self, stored: StoredEntry) -> Kind:
        """A next hop that speaks SMTP and does no DSN is not the end of the way (RFC 3461 section 5.2.2)."""
        channel = self.settings.channels.get(stored.entry.channel)
        on_its_way = channel is not None and channel.smtp != "nosmtp" and not channel.lmtp
        return Kind.RELAYED if on_its_way else Kind.DELIVERED

    def warns(self, stored: StoredEntry) -> bool:
        """Whether anybody would get a warning of delay."""
        return any(wants(stored.envelope, one, Kind.DELAYED) for one in stored.envelope.recipients)

    def failed(
        self,
        stored: StoredEntry,
        verdicts: Sequence[Disposition],
        kind: Kind,
        *,
        now: float,
        original: Original,
    ) -> tuple[Submission, ...]:
        """Recipients are given up without an attempt: out of time, or returned by an operator."""
        told = self._told(stored, verdicts, kind)
        return self._made(stored, told, kind, now=now, original=original) if told else ()

    def delayed(
        self,
        stored: StoredEntry,
        *,
        until: float,
        now: float,
        original: Original,
        verdicts: Sequence[Disposition] = (),
    ) -> tuple[Submission, ...]:
        """
        A warning: some recipients have not been reached for long, and are still tried.

        :param until: Epoch seconds at which they will be given up.
        :param original: What :meth:`Quotes.of` read; may be :data:`NOTHING`.
        :param verdicts: The last ones, deferrals, of the recipients concerned; none: all recipients
            of the entry, and what its last reply says.
        """
        last = verdicts or [
            Disposition(recipient.address, Verdict.DEFERRED, _DELAYED, stored.last_reply)
            for recipient in stored.envelope.recipients
        ]
        told = self._told(stored, last, Kind.DELAYED)
        if not told:
            return ()
        return self._made(stored, told, Kind.DELAYED, now=now, original=original, until=until)

    def _told(
        self, stored: StoredEntry, verdicts: Sequence[Disposition], kind: Kind
    ) -> tuple[Disposition, ...]:
        if not stored.envelope.sender:
            return ()
        by_address = {recipient.address: recipient for recipient in stored.envelope.recipients}
        return tuple(one for one in verdicts if wants(stored.envelope, by_address[one.recipient], kind))

    def _made(
        self,
        stored: StoredEntry,
        told: tuple[Disposition, ...],
        kind: Kind,
        *,
        now: float,
        original: Original,
        until: float | None = None,
    ) -> tuple[Submission, ...]:
        local_host = self.settings.local_host
        # The channel may have left the configuration since.
        channel = self.settings.channels.get(stored.entry.channel)
        unique = self._unique()
        content = report(
            Notice(
                kind=kind,
                envelope=stored.envelope,
                verdicts=told,
                original=original,
                octets=stored.entry.size,
                arrived=stored.entry.enqueued,
                now=now,
                until=until,
                local_host=local_host,
                channel_host=stored.entry.channel if channel is None else channel.official_host_name,
                postmaster=self.settings.mta.postmaster or f"postmaster@{local_host}",
                envelope_id=stored.envelope_id,
                unique=unique,
            )
        )
        envelope = Envelope(
            sender="",
            recipients=(Recipient(stored.envelope.sender, notify="NEVER"),),
            body=None if content.isascii() else "8BITMIME",
        )
        try:
            return (
                self._intake.submission(
                    envelope,
                    Source("process"),
                    content,
                    len(content),
                    envelope_id=unique,
                    origin=Origin.GENERATED,
                ),
            )
        except Refusal as why:
            # The sender's address has no route: there is nobody to tell (RFC 5321 section 6.1).
            log.warn(
                "{entry}: its sender cannot be told that it {what}: {why}",
                entry=stored.entry.id,
                what=kind.value,
                why=why.text,
            )
            return ()
