"""Taking responsibility for a message: routed, limited, stored, then scheduled."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from jobctl.config.settings import Settings
from jobctl.controller.hot import HotMessage, HotMessages
from jobctl.errors import JobctlError, StoreFull
from jobctl.mail.entry import Lasting, NewEntry, Origin, QueueEntry, StoredEntry, Submission
from jobctl.mail.envelope import Envelope, Priority, Recipient, Source
from jobctl.routing.router import NoRoute, Router

# Content up to this size is kept at hand; the store keeps the same amount beside the envelope.
HOT_SIZE = 64 * 1024


class Refusal(JobctlError):
    """A message is not accepted; nothing of it was kept.  ``code`` and ``status`` are the reply to give."""

    def __init__(self, code: int, status: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.status = status
        self.text = text


class Intake:
    """
    The one way into the queue.

    :param stored: Called with each new entry after its commit, in the order of commits.
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
        self.settings = settings
        self.router = router
        self._store = store
        self._hot = hot
        self._stored = stored
        self._seconds = seconds

    def accept(
        self,
        envelope: Envelope,
        source: Source,
        content: Any,
        size: int,
        *,
        envelope_id: str = "",
        priority: Priority = Priority.NORMAL,
        channel: str | None = None,
        origin: Origin = Origin.ACCEPTED,
    ) -> Deferred[list[str]]:
        """
        Queue a message.

        :param content: ``bytes``, or staged content with all of it written.
        :param channel: Queue it there instead of where the rewrite rules say.
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
            )
        except Refusal as why:
            return fail(why)
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
        priority: Priority = Priority.NORMAL,
        channel: str | None = None,
        origin: Origin = Origin.ACCEPTED,
    ) -> Submission:
        """
        Decide channels and hosts of a message without queueing it.

        :raises Refusal: An address has no route, or a channel does not take the message.
        """
        now = self._seconds()
        entries = []
        for name, host, recipients in self._groups(envelope.recipients, source.channel, channel):
            settings = self.settings.channels[name]
            if settings.blocklimit is not None and size > settings.blocklimit * 1024:
                raise Refusal(552, "5.2.3", f"Message exceeds the size limit of channel {name}")
            state, reason = Lasting.QUEUED, ""
            limit = (
                self.settings.channels[source.channel].holdlimit
                if source.channel in self.settings.channels
                else None
            )
            if limit is not None and len(envelope.recipients) > limit:
                state, reason = Lasting.HELD, f"more than {limit} recipients (holdlimit of {source.channel})"
            entries.append(
                NewEntry(
                    channel=name,
                    host=host,
                    recipients=tuple(recipients),
                    priority=priority,
                    due=now + settings.after,
                    state=state,
                    reason=reason,
                )
            )
        return Submission(
            envelope=envelope,
            source=source,
            content=content,
            size=size,
            entries=tuple(entries),
            envelope_id=envelope_id,
            origin=origin,
            arrived=now,
        )

    def _groups(
        self, recipients: tuple[Recipient, ...], source_channel: str, channel: str | None
    ) -> list[tuple[str, str, list[Recipient]]]:
        if channel is not None:
            return self.router.group_into(channel, recipients)
        try:
            return self.router.group(recipients, source_channel)
        except NoRoute as why:
            raise Refusal(550, why.status, why.text) from None

    def _committed(self, ids: list[str], submission: Submission) -> list[str]:
        self.remember(ids, submission)
        return ids

    def remember(self, ids: list[str], submission: Submission) -> None:
        """Put committed entries into the schedule, and small fresh content at hand."""
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
            )
            if type(submission.content) is bytes and submission.size <= HOT_SIZE:
                self._hot.put(HotMessage(_stored(entry, new, submission), submission.content))
            self._stored(entry)

    def _not_stored(self, why: Failure) -> None:
        if why.check(StoreFull):
            raise Refusal(452, "4.3.1", "Insufficient system storage")
        if why.check(Refusal):
            why.raiseException()
        # Whatever it was, the client can try again later: never 5xx for our own trouble.
        raise Refusal(451, "4.3.0", "The message could not be stored; try again later")


def _stored(entry: QueueEntry, new: NewEntry, submission: Submission) -> StoredEntry:
    whole = submission.envelope
    envelope = whole
    if new.recipients != whole.recipients:
        envelope = Envelope(
            sender=whole.sender,
            recipients=new.recipients,
            ret=whole.ret,
            envid=whole.envid,
            body=whole.body,
            smtputf8=whole.smtputf8,
            auth=whole.auth,
        )
    return StoredEntry(
        entry=entry,
        message=0,
        state=Lasting.QUEUED,
        envelope=envelope,
        source=submission.source,
        envelope_id=submission.envelope_id,
    )
