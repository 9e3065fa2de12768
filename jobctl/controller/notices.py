"""Notifications of one entry: who is told, by which way, and who gets a copy."""

from collections.abc import Callable, Sequence

import msgspec
from twisted.logger import Logger

from jobctl.config.settings import ChannelSettings, Settings
from jobctl.controller.intake import Intake
from jobctl.controller.notice_mail import NoticeMail
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.entry import StoredEntry, Submission
from jobctl.mail.envelope import DeliverBy
from jobctl.notification.facts import last_words
from jobctl.notification.notice import Kind, Notice, Original, wants
from jobctl.notification.original import is_copy

log = Logger()

NOTHING = Original()
_LATE = "4.4.7"
_REACHED = frozenset({Verdict.DELIVERED, Verdict.RELAYED})


class Notices:
    """
    Makes notifications for settlements; decides neither when nor whether a recipient is given up.

    What it gives belongs into :attr:`Settlement.notifications`, so that it is queued in the commit
    of what it tells of.  An empty sender is told nothing; the postmaster may be (``sendpost``), but
    never of a copy that was for a postmaster: so nothing goes round.

    :param unique: Gives a text never used before.
    """

    def __init__(self, settings: Settings, intake: Intake, unique: Callable[[], str]) -> None:
        self._mail = NoticeMail(settings, intake)
        self._settings = settings
        self._unique = unique

    def reconfigure(self, settings: Settings) -> None:
        """From now on these settings, and the texts as they are now."""
        self._settings = settings
        self._mail.reconfigure(settings)

    def told_of(self, stored: StoredEntry, verdicts: Sequence[Disposition]) -> bool:
        """Whether anybody is to be told of an attempt; if not, nothing needs to be read for it."""
        return any(
            self._told(stored, some, kind) or self._copied(stored, kind)
            for kind, some in self._kinds(stored, verdicts)
        )

    def gives_up(self, stored: StoredEntry) -> bool:
        """Whether anybody is to be told when all its recipients are given up."""
        return self._wanted(stored, Kind.FAILED)

    def warns(self, stored: StoredEntry) -> bool:
        """Whether anybody would get a warning of delay."""
        return self._wanted(stored, Kind.DELAYED)

    def attempted(
        self, stored: StoredEntry, verdicts: Sequence[Disposition], *, now: float, original: Original
    ) -> tuple[Submission, ...]:
        """One attempt is over: failures are told, and success where it was asked for."""
        made: tuple[Submission, ...] = ()
        for kind, some in self._kinds(stored, verdicts):
            made += self._made(stored, some, kind, now=now, original=original)
        return made

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
        last = tuple(verdicts)
        if kind is Kind.TIMEDOUT:
            last = last_words(last, original.history)
        return self._made(stored, last, kind, now=now, original=original)

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
            of the entry, and what was last heard about them.
        """
        last = tuple(verdicts)
        if not last:
            late = (
                Disposition(recipient.address, Verdict.DEFERRED, _LATE, stored.last_reply)
                for recipient in stored.envelope.recipients
            )
            last = last_words(tuple(late), original.history)
        return self._made(stored, last, Kind.DELAYED, now=now, original=original, until=until)

    def _kinds(
        self, stored: StoredEntry, verdicts: Sequence[Disposition]
    ) -> list[tuple[Kind, list[Disposition]]]:
        """What an attempt's final verdicts are to their sender; nearly always nothing."""
        found: dict[Kind, list[Disposition]] = {}
        by = stored.envelope.by
        asked = any(one.notify is not None for one in stored.envelope.recipients)
        for one in verdicts:
            if one.verdict is Verdict.FAILED:
                found.setdefault(Kind.FAILED, []).append(one)
            elif by is not None and one.verdict in _REACHED and self._passed(stored, by, one):
                found.setdefault(Kind.PASSED, []).append(one)
            elif asked and one.verdict is Verdict.DELIVERED:
                found.setdefault(self._reached(stored), []).append(one)
        return list(found.items())

    def _reached(self, stored: StoredEntry) -> Kind:
        """A next hop that speaks SMTP and does no DSN is not the end of the way (RFC 3461 section 5.2.2)."""
        channel = self._channel(stored)
        return Kind.RELAYED if channel.smtp != "nosmtp" and not channel.lmtp else Kind.DELIVERED

    def _passed(self, stored: StoredEntry, by: DeliverBy, one: Disposition) -> bool:
        """
        Whether a relay is to be told of because of a deadline (RFC 2852 sections 4.1.4 and 4.1.4.2).

        Its sender has asked for a trace, or the next hop will not tell when the time has passed.
        """
        untimed = by.mode == "N" and not one.timed
        return (by.trace or untimed) and self._reached(stored) is Kind.RELAYED

    def _channel(self, stored: StoredEntry) -> ChannelSettings:
        return self._settings.channel(stored.entry.channel)

    def _wanted(self, stored: StoredEntry, kind: Kind) -> bool:
        envelope = stored.envelope
        return any(wants(envelope, one, kind) for one in envelope.recipients) or self._copied(stored, kind)

    def _told(
        self, stored: StoredEntry, verdicts: Sequence[Disposition], kind: Kind
    ) -> tuple[Disposition, ...]:
        if not stored.envelope.sender:
            return ()
        by_address = {recipient.address: recipient for recipient in stored.envelope.recipients}
        return tuple(one for one in verdicts if wants(stored.envelope, by_address[one.recipient], kind))

    def _copied(self, stored: StoredEntry, kind: Kind) -> bool:
        """Whether the postmaster may get a copy; whether the sender can be told is not known yet."""
        return self._post(stored, kind, told=False)

    def _post(self, stored: StoredEntry, kind: Kind, told: bool) -> bool:
        """
        What the ``sendpost`` family of the channel says, and ``warnpost`` for warnings.

        :param told: The sender could be told, or did not want to be.
        """
        channel = self._channel(stored)
        if kind.failure:
            word = channel.sendpost
        elif kind is Kind.DELAYED:
            word = channel.warnpost or channel.sendpost
        else:
            return False
        if word == "sendpost":
            return True
        if word == "copysendpost":
            return bool(stored.envelope.sender)
        return word == "errsendpost" and not told

    def _made(
        self,
        stored: StoredEntry,
        verdicts: Sequence[Disposition],
        kind: Kind,
        *,
        now: float,
        original: Original,
        until: float | None = None,
    ) -> tuple[Submission, ...]:
        told = self._told(stored, verdicts, kind)
        if not told and not self._copied(stored, kind):
            return ()
        case = self._case(stored, tuple(verdicts), kind, now, original, until)
        made: list[Submission] = []
        if told:
            notice = self._mail.submission(msgspec.structs.replace(case, verdicts=told), stored)
            if notice is not None:
                made.append(notice)
        unwanted = bool(stored.envelope.sender) and not told
        if self._post(stored, kind, told=bool(made) or unwanted):
            copy = self._copy(case, stored, told=bool(made))
            if copy is not None:
                made.append(copy)
        return tuple(made)

    def _case(
        self,
        stored: StoredEntry,
        verdicts: tuple[Disposition, ...],
        kind: Kind,
        now: float,
        original: Original,
        until: float | None,
    ) -> Notice:
        mta = self._settings.mta
        channel = self._channel(stored)
        local_host = self._settings.local_host
        return Notice(
            kind=kind,
            to=stored.envelope.sender,
            envelope=stored.envelope,
            verdicts=verdicts,
            original=original if mta.return_delivery_history else Original(original.content),
            octets=stored.entry.size,
            whole=stored.entry.size <= mta.content_return_limit,
            addresses=channel.addresses,
            arrived=stored.entry.enqueued,
            now=now,
            until=until,
            local_host=local_host,
            channel_host=channel.official_host_name,
            postmaster=channel.returnaddress or mta.postmaster or f"postmaster@{local_host}",
            personal=channel.returnpersonal or mta.return_personal,
            envelope_id=stored.envelope_id,
            unique=self._unique(),
        )

    def _copy(self, case: Notice, stored: StoredEntry, told: bool) -> Submission | None:
        """
        What the postmaster gets: nothing of what is such a copy itself, or it would go round.

        What cannot be read any more might be one.
        """
        content = case.original.content
        if not stored.envelope.sender and (not content or is_copy(content)):
            log.warn(
                "{entry}: a copy for a postmaster was not delivered; there are none of copies",
                entry=stored.entry.id,
            )
            return None
        whole = case.whole and self._channel(stored).posthead != "postheadonly"
        copy = msgspec.structs.replace(
            case, to=case.postmaster, copy=True, told=told, whole=whole, unique=self._unique()
        )
        return self._mail.submission(copy, stored)
