"""The counters of each channel: told of everything, saved now and then, shown and cleared."""

from collections.abc import Sequence
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.accounts.counting import ChannelCounts, Counts, Volume, counter_row
from jobctl.accounts.records import blocks
from jobctl.control.account_requests import Counters, CountersClear
from jobctl.control.operations import Caller
from jobctl.control.refusals import unknown_channel
from jobctl.control.selection import channel_matches
from jobctl.jobprotocol.frames import Event, Submit
from jobctl.mail.entry import Settlement, StoredEntry, Submission

log = Logger()

# Under which the store remembers them.
TOPIC, KEY = "counters", "all"
# Seconds of counting that a crash can lose.
INTERVAL = 60.0


class CounterBook:
    """
    A book (:class:`jobctl.controller.books.Book`) that counts, and the operations that show it.

    They are saved once a minute when they have changed, and at the end: a crash loses the
    counts of a minute, never those of the ledger.
    """

    def __init__(self, controller: Any) -> None:
        self._at = controller
        self._counts = Counts(controller.started)
        # By job: connections that it has open.
        self._open: dict[str, int] = {}
        self._jobs: dict[str, tuple[str, bool]] = {}
        self._later: IDelayedCall | None = None

    async def restore(self) -> None:
        """What was saved when we were last here."""
        saved = (await self._at.store.remembered(TOPIC)).get(KEY)
        if saved is None:
            return
        try:
            self._counts = Counts(self._at.started, msgspec.json.decode(saved, type=dict[str, ChannelCounts]))
        except msgspec.MsgspecError as why:
            log.warn("the saved counters cannot be read, they begin anew: {why}", why=str(why))

    def start(self) -> None:
        """Save from now on."""
        self._later = self._at.reactor.callLater(INTERVAL, self._save_again)

    def _save_again(self) -> None:
        self.save().addBoth(lambda _: self.start())

    def save(self) -> "Deferred[None]":
        """Fires when what is counted is durable, or could not be saved."""
        if not self._counts.changed:
            return succeed(None)
        self._counts.changed = False
        text = msgspec.json.encode(self._counts.saved()).decode()
        saving: Deferred[None] = self._at.store.remember(TOPIC, KEY, text)
        return saving.addErrback(self._not_saved)

    def _not_saved(self, why: Failure) -> None:
        self._counts.changed = True
        log.error("the counters cannot be saved: {why}", why=why.getErrorMessage())

    def stop(self) -> "Deferred[None]":
        """Save for the last time."""
        if self._later is not None and self._later.active():
            self._later.cancel()
        return self.save()

    # As a book.

    def queued(self, ids: Sequence[str], submission: Submission, now: float) -> None:
        self._counts.queued(submission)

    def settled(self, stored: StoredEntry, settlement: Settlement, now: float) -> None:
        self._counts.settled(stored, settlement, now)

    def event(self, job: Any, event: Event, now: float) -> None:
        inbound = job.spec.role == "slave"
        counts = self._counts.of(job.spec.source(event.channel))
        made = counts.inbound if inbound else counts.outbound
        if event.event == "opened":
            made.total += 1
            self._open[job.id] = self._open.get(job.id, 0) + 1
            self._jobs[job.id] = (job.spec.channel.name, inbound)
        elif event.event in ("closed", "cut"):
            self._open[job.id] = max(0, self._open.get(job.id, 0) - 1)
        elif event.event in ("rejected", "denied", "failed"):
            made.rejected += 1
        elif event.event == "refused":
            counts.rejected.add(1, 0)
        elif event.event == "auth":
            if event.text.startswith("235"):
                counts.authentications.accepted += 1
            elif event.text.startswith("535"):
                counts.authentications.failed += 1

    def aborted(self, job: Any, first: Submit, received: int, now: float) -> None:
        """Nobody was owed anything."""

    def job_ended(self, job: Any) -> None:
        self._open.pop(job.id, None)
        self._jobs.pop(job.id, None)

    # As operations.

    async def counters(self, request: Counters, caller: Caller, stream: Any) -> list[dict[str, Any]]:
        summary = await self._at.store.summarize()
        ledger = await self._at.store.ledger(counted=False)
        counts = dict(self._counts)
        rows = []
        for name in self._meant(request.channel, {*counts, *summary}):
            queued, _, held, octets, _ = summary.get(name, (0, 0, 0, 0, None))
            stored = Volume(queued + held, ledger.get(name, {}).get("queued", 0), blocks(octets))
            rows.append(
                counter_row(
                    name,
                    counts.get(name) or ChannelCounts(since=self._at.started),
                    stored,
                    self._current(name),
                    self._at.audit.missing.get(name, 0),
                )
            )
        return rows

    async def counters_clear(
        self, request: CountersClear, caller: Caller, stream: Any
    ) -> dict[str, list[str]]:
        names = self._meant(request.channel, {name for name, _ in self._counts})
        now = self._at.reactor.seconds()
        for name in names:
            self._counts.clear(name, now)
        log.info("counters of {channels} cleared by {who}", channels=", ".join(names), who=caller.name)
        await self.save()
        return {"channels": names}

    def _current(self, channel: str) -> tuple[int, int]:
        found = [0, 0]
        for job, count in self._open.items():
            name, inbound = self._jobs[job]
            if name == channel:
                found[0 if inbound else 1] += count
        return found[0], found[1]

    def _meant(self, pattern: str | None, others: set[str]) -> list[str]:
        configured = self._at.settings.channels
        names = sorted(name for name in {*configured, *others} if channel_matches(pattern, name))
        if pattern is not None and not names:
            raise unknown_channel(pattern, configured)
        return names
