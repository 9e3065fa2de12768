"""Mail that a client sends again since it never heard that it was taken (REUSE_TIMED_OUT_TRANSFERS)."""

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

log = Logger()

# Under which the store remembers them.
TOPIC = "untold"
# Seconds for which a transfer is remembered, and how many are: the oldest are forgotten first.
LIFETIME = 86400.0
MOST = 10_000
# A digest is what a program makes of client, envelope and content: SHA-256 in our own.
LONGEST = 128


class _Kept(msgspec.Struct, frozen=True):
    """:ivar ids: Of the queue entries that were made; ``when`` in epoch seconds."""

    ids: tuple[str, ...]
    when: float


class _Transfer:
    """
    One that has come in and of which nobody has said yet whether its client was told.

    :ivar began: Epoch seconds; ``limit``: seconds up to which it is not worth remembering.
    :ivar ids: Once it is durable.
    :ivar waiting: Copies of it that came meanwhile.
    """

    __slots__ = ("began", "digest", "ids", "limit", "lost", "waiting")

    def __init__(self, digest: str, began: float, limit: float) -> None:
        self.digest = digest
        self.began = began
        self.limit = limit
        self.ids: tuple[str, ...] | None = None
        self.lost = False
        self.waiting: list[Deferred[None]] = []


class ResentMail:
    """
    Remembers slow transfers whose client could not be told 250, and knows them when they come again.

    What was slow is remembered before the client is told, and forgotten once it was: whatever dies in between, the
    next copy is not a second message.

    :param seconds: The wall clock.
    """

    def __init__(self, store: Any, seconds: Callable[[], float]) -> None:
        self._store = store
        self._seconds = seconds
        # By digest, the oldest first.
        self._kept: dict[str, _Kept] = {}
        self._running: dict[str, _Transfer] = {}
        self._of_job: dict[str, dict[str, _Transfer]] = {}

    async def restore(self) -> None:
        """What was remembered when we were last here."""
        found = {}
        for digest, text in (await self._store.remembered(TOPIC)).items():
            try:
                found[digest] = msgspec.json.decode(text, type=_Kept)
            except msgspec.MsgspecError as why:
                log.warn("a transfer cannot be read and is forgotten: {why}", why=str(why))
                self._remember(digest, None)
        self._kept = dict(sorted(found.items(), key=lambda pair: pair[1].when))
        self._forget_old()

    def take(
        self,
        job: str,
        reference: str,
        digest: str,
        began: float,
        limit: float,
        accept: Callable[[], "Deferred[list[str]]"],
        discard: Callable[[], object],
    ) -> "Deferred[list[str]]":
        """
        A message has come in whole.

        :param reference: Of the submission in its job, for :meth:`told`.
        :param began: When its transfer did, epoch seconds.
        :param limit: ``FAST_SMTP_SESSION_TIME_LIMIT``.
        :param accept: Queues it; called unless it is there already, and then ``discard`` is.
        :return: The ids of its entries, or of those that were made the first time; fails as ``accept`` does.
        """
        self._forget_old()
        transfer = _Transfer(digest, began, limit)
        transfers = self._of_job.setdefault(job, {})
        transfers[reference] = transfer
        if len(transfers) > MOST:
            self.told(job, next(iter(transfers)), gone=True)
        return self._begin(transfer, job, reference, accept, discard)

    def _begin(
        self,
        transfer: _Transfer,
        job: str,
        reference: str,
        accept: Callable[[], "Deferred[list[str]]"],
        discard: Callable[[], object],
    ) -> "Deferred[list[str]]":
        known = self._kept.get(transfer.digest)
        if known is not None:
            log.info(
                "{job}: {ids} came again, its client had not heard of it", job=job, ids=", ".join(known.ids)
            )
            discard()
            transfer.ids = known.ids
            return succeed(list(known.ids))
        running = self._running.get(transfer.digest)
        if running is not None:
            # Whether its client hears of the first copy is not known yet.
            again: Deferred[None] = Deferred()
            running.waiting.append(again)
            return again.addCallback(lambda _: self._begin(transfer, job, reference, accept, discard))
        self._running[transfer.digest] = transfer
        return accept().addCallbacks(
            self._accepted, self._refused, (transfer,), {}, (transfer, job, reference)
        )

    def told(self, job: str, reference: str, gone: bool) -> None:
        """A program has told a client that its message is taken; ``gone``: the client was no longer there."""
        transfer = self._of_job.get(job, {}).get(reference)
        if transfer is None or transfer.ids is None:
            return
        del self._of_job[job][reference]
        if not gone:
            if self._kept.pop(transfer.digest, None) is not None:
                self._remember(transfer.digest, None)
        elif self._slow(transfer):
            self._keep(transfer)
        self._conclude(transfer)

    def job_ended(self, job: str) -> None:
        """Whom it had not told by now it has not told."""
        for reference, transfer in list(self._of_job.get(job, {}).items()):
            if transfer.ids is None:
                transfer.lost = True
            else:
                self.told(job, reference, gone=True)
        self._of_job.pop(job, None)

    def _accepted(self, ids: list[str], transfer: _Transfer) -> Any:
        transfer.ids = tuple(ids)
        saved = self._keep(transfer) if self._slow(transfer) else None
        if transfer.lost:
            self._conclude(transfer)
        return ids if saved is None else saved.addCallback(lambda _: ids)

    def _refused(self, why: Failure, transfer: _Transfer, job: str, reference: str) -> Failure:
        self._of_job.get(job, {}).pop(reference, None)
        self._conclude(transfer)
        return why

    def _slow(self, transfer: _Transfer) -> bool:
        return self._seconds() - transfer.began > transfer.limit

    def _conclude(self, transfer: _Transfer) -> None:
        if self._running.get(transfer.digest) is transfer:
            del self._running[transfer.digest]
        waiting, transfer.waiting = transfer.waiting, []
        for one in waiting:
            one.callback(None)

    def _keep(self, transfer: _Transfer) -> "Deferred[None]":
        assert transfer.ids is not None
        if transfer.digest in self._kept:
            return succeed(None)
        kept = self._kept[transfer.digest] = _Kept(transfer.ids, self._seconds())
        return self._remember(transfer.digest, msgspec.json.encode(kept).decode())

    def _remember(self, digest: str, text: str | None) -> "Deferred[None]":
        done: Deferred[None] = self._store.remember(TOPIC, digest, text)
        return done.addErrback(
            lambda why: log.error("what clients were told cannot be saved: {why}", why=why.getErrorMessage())
        )

    def _forget_old(self) -> None:
        oldest = self._seconds() - LIFETIME
        while self._kept:
            digest, kept = next(iter(self._kept.items()))
            if kept.when >= oldest and len(self._kept) <= MOST:
                return
            del self._kept[digest]
            self._remember(digest, None)
