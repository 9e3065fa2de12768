"""Taking responsibility for a message: routed, limited, stored, then scheduled."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.config.settings import REPROCESS, Settings
from jobctl.controller.hot import HotMessage, HotMessages
from jobctl.controller.recipients import KnownRecipients
from jobctl.controller.refusals import Refusal, refusal_for, refused, too_large, unknown_recipient
from jobctl.mail.entry import Lasting, NewEntry, Origin, QueueEntry, StoredEntry, Submission
from jobctl.mail.envelope import Envelope, Priority, Recipient, Source
from jobctl.mail.hints import NO_HINTS, Hints
from jobctl.mail.labels import labels, sensitivity
from jobctl.mail.moment import parse_moment
from jobctl.mail.share import share_of
from jobctl.mail.xtext import decode_xtext
from jobctl.mapping.access import Permission, recipient_access
from jobctl.mapping.tables import compiled
from jobctl.routing.router import NoRoute, Router
from jobctl.schedule.entrance import new_entry
from jobctl.schedule.rules import RetryRules
from jobctl.selection.candidate import arriving

log = Logger()

BLOCK = 1024
# Content up to this size is kept at hand; the store keeps the same amount beside the envelope.
HOT_SIZE = 64 * 1024


# What programs put in front of a message does not count towards its size.
TRACE_ROOM = 4096


class Intake:
    """
    The one way into the queue.

    :param stored: Called with each new entry after its commit, in the order of commits.
    :ivar queued: Called with the ids and the submission of each message after its commit.
    """

    def __init__(
        self,
        settings: Settings,
        router: Router,
        store: Any,
        hot: HotMessages,
        stored: Callable[[QueueEntry], None],
        seconds: Callable[[], float],
    ) -> None:
        self._store = store
        self._hot = hot
        self._stored = stored
        self._seconds = seconds
        self.queued: list[Callable[[list[str], Submission], None]] = []
        self.hold_rules: Any = None
        self._recipients = KnownRecipients(seconds)
        self.reconfigure(settings, router)

    def reconfigure(self, settings: Settings, router: Router) -> None:
        """What comes from now on is routed and limited so."""
        self.settings = settings
        self.router = router
        self._rules = RetryRules(settings.retry)
        self.access = compiled(settings.mta.mappings)
        # Only history and log want to know what messages call themselves.
        log_id = settings.log.bits("log_message_id") & 1
        self._labelling = bool(settings.controller.history_retention or log_id)
        self._sensitive = bool(settings.log.bits("log_sensitivity") & 1)
        self._most_of_all = _smallest(settings.mta.block_limit)
        self._most = {
            channel.name: _smallest(settings.mta.block_limit, (channel.sourceblocklimit or 0) * BLOCK)
            for channel in settings.channels.values()
        }

    def accept(
        self,
        envelope: Envelope,
        source: Source,
        content: Any,
        size: int,
        *,
        envelope_id: str = "",
        priority: Priority | None = None,
        channel: str | None = None,
        origin: Origin = Origin.ACCEPTED,
        hints: Hints = NO_HINTS,
        beginning: bytes = b"",
        job: str = "",
    ) -> Deferred[list[str]]:
        """
        Queue a message.

        :param content: ``bytes``, or staged content with all of it written.
        :param priority: ``None``: what its header says, else normal.
        :param hints: What its header says.
        :param channel: Queue it there instead of where the rewrite rules say.
        :param beginning: Of staged content, with its header.
        :param job: That brought it.
        :return: Fires with the queue entries' ids once they are durable; fails with
            :class:`Refusal` when they are not, and then nothing was kept.
        """
        try:
            submission = self.submission(
                envelope,
                source,
                content,
                size,
                envelope_id=envelope_id,
                priority=priority,
                channel=channel,
                origin=origin,
                hints=hints,
                beginning=beginning,
                job=job,
            )
        except Exception as why:
            return fail(refusal_for(why))
        done: Deferred[list[str]] = self._store.enqueue(submission)
        done.addCallbacks(self._committed, self._not_stored, callbackArgs=(submission,))
        return done

    def submission(
        self,
        envelope: Envelope,
        source: Source,
        content: Any,
        size: int,
        *,
        envelope_id: str = "",
        priority: Priority | None = None,
        channel: str | None = None,
        origin: Origin = Origin.ACCEPTED,
        hints: Hints = NO_HINTS,
        beginning: bytes = b"",
        job: str = "",
        expanding: bool = False,
    ) -> Submission:
        """
        Decide channels and hosts of a message without queueing it.

        :param expanding: However many its recipients are, they are routed now.
        :raises Refusal: An address has no route, or a channel does not take the message.
        """
        now = self._seconds()
        accepted = origin is Origin.ACCEPTED
        most = self.most_octets(source.channel)
        if accepted and most and size > most:
            raise too_large()
        if priority is None:
            priority = Priority.NORMAL if hints.priority is None else hints.priority
        if envelope.hold_for is not None or envelope.hold_until is not None:
            hints = msgspec.structs.replace(hints, hold_until=hold_until(envelope, now))
        if envelope.by is not None and not envelope.by.deadline:
            by = msgspec.structs.replace(envelope.by, deadline=now + envelope.by.seconds)
            envelope = msgspec.structs.replace(envelope, by=by)
        cause = ""
        # What was let in, and held for such a cause, has been released since.
        if not expanding:
            # Whoever came by SMTP was asked about each.
            if accepted and channel is None and self.settings.mta.asks_all and not source.application:
                self._find(envelope, source)
            held = self._allow(envelope, source, channel) if accepted and self.access else ""
            cause = held or self._cause_to_hold(source.channel, len(envelope.recipients), hints)
        entries = []
        for name, host, recipients in (
            [(REPROCESS, "", envelope.recipients)]
            if accepted and channel is None and not expanding and self._many(source.channel, envelope)
            else self.groups(envelope.recipients, source.channel, channel)
        ):
            settings = self.settings.channel(name)
            # A notification quotes what was small enough, and whoever is to be told is told.
            if accepted and settings.blocklimit is not None and size > settings.blocklimit * BLOCK:
                raise Refusal(552, "5.2.3", f"Message exceeds the size limit of channel {name}")
            if accepted and settings.linelimit is not None and _lines(content) > settings.linelimit:
                raise Refusal(552, "5.2.3", f"Message exceeds the line limit of channel {name}")
            entries.append(
                new_entry(settings, host, tuple(recipients), priority, size, now, hints, cause, envelope.by)
            )
        message_id = subject = ""
        if self._labelling:
            message_id, subject = labels(content if type(content) is bytes else beginning)
        sensitive = ""
        if self._sensitive:
            sensitive = sensitivity(content if type(content) is bytes else beginning)
        submission = Submission(
            envelope=envelope,
            source=source,
            content=content,
            size=size,
            entries=tuple(entries),
            envelope_id=envelope_id,
            origin=origin,
            arrived=now,
            message_id=message_id,
            subject=subject,
            sensitivity=sensitive,
            job=job,
        )
        # Our own notifications go: who is to be told is told.
        return self.hold_rules.applied(submission) if accepted and self.hold_rules else submission

    def most_octets(self, source_channel: str) -> int:
        """The largest content that is taken, with the trace field that its program added; 0 = no limit."""
        return self._most.get(source_channel, self._most_of_all)

    def _allow(self, envelope: Envelope, source: Source, channel: str | None) -> str:
        """
        What the access tables say of a message.

        :return: Why it is to be held, ``""``: it is not.
        :raises Refusal: A recipient may not be written to.
        """
        cause = ""
        for recipient in envelope.recipients:
            permission = self.permission(envelope.sender, recipient, source, channel)
            if permission.refusal is not None:
                raise refused(permission.refusal)
            if permission.hold:
                cause = f"held by an access table: {recipient.address}"
        return cause

    def _find(self, envelope: Envelope, source: Source) -> None:
        """:raises Refusal: A recipient is known to be unknown."""
        for recipient in envelope.recipients:
            if not self.knows(recipient.address, source.channel):
                raise unknown_recipient(recipient.address)

    def knows(self, recipient: str, source_channel: str) -> bool:
        """
        Whether a recipient can be written to.

        :raises NoRoute: It leads nowhere.
        :raises OSError: Nobody can tell now.
        """
        route = self.router.route(recipient, source_channel)
        return self._recipients.knows(self.settings.channel(route.channel), route.address)

    def checks(self, channel: str) -> bool:
        """Whether a channel knows its recipients, so that :meth:`knows` can say no."""
        settings = self.settings.channel(channel)
        return settings.recipients_file is not None or (
            settings.existingmaildirs and settings.maildir is not None
        )

    def permission(
        self, sender: str, recipient: Recipient, source: Source, channel: str | None
    ) -> Permission:
        """
        What the access tables say of a recipient.

        :raises NoRoute: It leads nowhere.
        """
        route = self.router.route(recipient.address, source.channel)
        return recipient_access(
            self.access,
            source,
            sender,
            recipient.address,
            route.address,
            channel or route.channel,
            decode_xtext(recipient.orcpt) if recipient.orcpt else "",
            self.settings.mta.access_orcpt,
        )

    def _cause_to_hold(self, source_channel: str, recipients: int, hints: Hints) -> str:
        """Why the whole message is to be held, or ``""``."""
        most = self.settings.mta.max_received_lines
        # One of them was put in front by the program that it came in by.
        if hints.received > most + 1:
            return f"mail loop: {hints.received - 1} Received fields, more than max_received_lines ({most})"
        source = self.settings.channels.get(source_channel)
        limit = None if source is None else source.holdlimit
        if limit is None or recipients <= limit:
            return ""
        return f"more than {limit} recipients (holdlimit of {source_channel})"

    def _many(self, source_channel: str, envelope: Envelope) -> bool:
        """Whether its recipients are more than are routed while a client waits."""
        source = self.settings.channels.get(source_channel)
        limit = None if source is None else source.expandlimit
        return limit is not None and len(envelope.recipients) > limit

    def groups(
        self, recipients: Sequence[Recipient], source_channel: str, channel: str | None = None
    ) -> list[tuple[str, str, list[Recipient]]]:
        """
        Recipients by channel and host.

        :raises Refusal: One of them has no route.
        """
        try:
            if channel is not None:
                return self.router.group_into(channel, recipients)
            return self.router.group(recipients, source_channel)
        except NoRoute as why:
            raise Refusal(550, why.status, why.text) from None

    def _committed(self, ids: list[str], submission: Submission) -> list[str]:
        try:
            self.remember(ids, submission)
        except Exception:
            # It is ours now: refused, it would be sent again.  The schedule finds it in the store.
            log.failure("bug while scheduling {ids}", ids=ids)
        return ids

    def remember(self, ids: list[str], submission: Submission) -> None:
        """Put committed entries into the schedule, and small fresh content at hand; have it known."""
        for watcher in self.queued:
            watcher(ids, submission)
        for entry_id, new in zip(ids, submission.entries, strict=True):
            if new.state is not Lasting.QUEUED:
                continue
            entry = QueueEntry(
                id=entry_id,
                channel=new.channel,
                host=new.host,
                priority=new.priority,
                size=submission.size,
                enqueued=submission.arrived,
                due=new.due,
                paused=new.paused,
                deadline=new.deadline,
                returns=new.returns,
                recipients=len(new.recipients),
                share=share_of(self.settings.controller.fair_share, submission.envelope, submission.source),
                rule=self._rules.number(arriving(submission, new), submission.arrived) if self._rules else 0,
            )
            if type(submission.content) is bytes and submission.size <= HOT_SIZE:
                self._hot.put(HotMessage(_stored(entry, new, submission), submission.content))
            self._stored(entry)

    def _not_stored(self, why: Failure) -> None:
        raise refusal_for(why.value) from None


def _lines(content: Any) -> int:
    """Lines of a message, of its header too."""
    return content.count(b"\n") if type(content) is bytes else content.lines


def _smallest(*limits: int) -> int:
    return min((limit + TRACE_ROOM for limit in limits if limit), default=0)


def _stored(entry: QueueEntry, new: NewEntry, submission: Submission) -> StoredEntry:
    whole = submission.envelope
    envelope = whole
    if new.recipients != whole.recipients:
        envelope = msgspec.structs.replace(whole, recipients=new.recipients)
    return StoredEntry(
        entry=entry,
        message=0,
        state=Lasting.QUEUED,
        envelope=envelope,
        source=submission.source,
        envelope_id=submission.envelope_id,
        message_id=submission.message_id,
        subject=submission.subject,
        sensitivity=submission.sensitivity,
    )


def hold_until(envelope: Envelope, now: float) -> float:
    """
    When a message may be released that its sender wants to be kept (FUTURERELEASE, RFC 4865).

    :param now: Epoch seconds, as is the result.
    :raises Refusal: The date is none.
    """
    if envelope.hold_for is not None:
        return now + envelope.hold_for
    try:
        return parse_moment(envelope.hold_until or "")
    except ValueError:
        raise Refusal(501, "5.5.4", "HOLDUNTIL: there is no such date") from None
