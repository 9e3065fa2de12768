"""Results made durable, then told to the schedule; and what happens while that cannot be done."""

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.controller.hot import HotMessages
from jobctl.controller.intake import Intake
from jobctl.controller.verdicts import aside
from jobctl.mail.entry import Lasting, Settlement, StoredEntry

log = Logger()

# Seconds until what could not be recorded is tried again.
PAUSE = 10.0
# Failures after which a settlement itself is suspected rather than the store.
SUSPICIOUS = 3


class _Result(msgspec.Struct):
    """One entry's settlement on its way into the store, and how often that failed."""

    settlement: Settlement
    stored: StoredEntry
    failures: int = 0


class Recorder:
    """
    Brings settlements to the store and, once they are committed, their entries back to the schedule.

    Until then an entry stays active, so nothing outdated is ever handed out.
    What cannot be recorded is kept and tried again, and all hand-outs stand
    still until it is: what is delivered and not recorded would be delivered
    again.  A settlement that fails where one that just holds its entry does
    not is itself at fault: then its entry is held.

    :ivar settled: Called with an entry as it was and its settlement, once that is committed.
    :ivar recorded: Called with an entry's id each time its result is committed and in the schedule.
    :param standstill: Called with a reason when nothing more may be handed out, with ``""`` when it may.
    """

    def __init__(
        self,
        store: Any,
        scheduler: Any,
        hot: HotMessages,
        intake: Intake,
        reactor: Any,
        kick: Callable[[], None],
        standstill: Callable[[str], None],
    ) -> None:
        self._store = store
        self._scheduler = scheduler
        self._hot = hot
        self._intake = intake
        self._reactor = reactor
        self._kick = kick
        self._standstill = standstill
        self._failed: dict[str, _Result] = {}
        self._on_way = 0
        self._again: IDelayedCall | None = None
        self._finishing: Deferred[None] | None = None
        self.settled: list[Callable[[StoredEntry, Settlement], None]] = []
        self.recorded: list[Callable[[str], None]] = []

    def record(self, settlement: Settlement, stored: StoredEntry) -> None:
        """
        Record what became of an entry that the schedule has given out.

        :param stored: The entry as it was then.
        """
        self._hot.drop(settlement.id)
        self._try(_Result(settlement, stored), settlement, self._refused)

    def finish(self) -> Deferred[None]:
        """Try once more what failed; fires when nothing is on its way any more, recorded or not."""
        done: Deferred[None] = Deferred()
        self._finishing = done
        self._retry()
        self._end_if_finished()
        return done

    def _try(
        self, result: _Result, settlement: Settlement, refused: Callable[[Failure, _Result], None]
    ) -> None:
        self._on_way += 1
        done: Deferred[Any] = self._store.settle(settlement)
        done.addCallbacks(self._committed, refused, (result, settlement), {}, (result,))
        done.addBoth(self._landed)

    def _committed(self, notice_ids: list[list[str]], result: _Result, settlement: Settlement) -> None:
        now = self._reactor.seconds()
        stored = result.stored
        # First of all: the schedule changes what it knows of an entry.
        for told in self.settled:
            told(stored, settlement)
        entry = stored.entry
        left = len(settlement.losses) < len(stored.envelope.recipients)
        if not left or settlement.state is Lasting.HELD:
            self._scheduler.settled(entry.id, now)
        else:
            due = entry.due if settlement.due is None else settlement.due
            attempts = entry.attempts if settlement.attempts is None else settlement.attempts
            self._scheduler.deferred(
                entry.id, due, attempts, now, settlement.warned, settlement.rule, settlement.deadline
            )
        if self._failed and self._failed.pop(entry.id, None) is not None and not self._failed:
            log.info("results can be recorded again")
            self._standstill("")
        for watcher in self.recorded:
            watcher(entry.id)
        # An entry that was gone has made no notifications: then there are none to remember.
        for ids, notice in zip(notice_ids, settlement.notifications, strict=False):
            self._intake.remember(ids, notice)
        self._kick()

    def _refused(self, why: Failure, result: _Result) -> None:
        result.failures += 1
        if result.failures > SUSPICIOUS:
            text = f"its result cannot be recorded: {why.getErrorMessage()}"
            instead = aside(result.settlement, text, self._reactor.seconds())
            self._try(result, instead, self._stand_still)
        else:
            self._stand_still(why, result)

    def _stand_still(self, why: Failure, result: _Result) -> None:
        entry = result.settlement.id
        text = why.getErrorMessage()
        log.critical(
            "{entry}: its result cannot be recorded, so nothing more is handed out until it can: {why}",
            entry=entry,
            why=text,
        )
        if not self._failed:
            self._standstill(text)
        self._failed[entry] = result
        if self._again is None and self._finishing is None:
            self._again = self._reactor.callLater(PAUSE, self._retry)

    def _retry(self) -> None:
        if self._again is not None and self._again.active():
            self._again.cancel()
        self._again = None
        for result in list(self._failed.values()):
            self._try(result, result.settlement, self._refused)

    def _landed(self, result: Failure | None) -> None:
        if result is not None:
            log.failure("bug while a result is recorded", failure=result)
        self._on_way -= 1
        if self._finishing is not None:
            self._end_if_finished()

    def _end_if_finished(self) -> None:
        if self._finishing is not None and not self._on_way and not self._finishing.called:
            self._finishing.callback(None)
