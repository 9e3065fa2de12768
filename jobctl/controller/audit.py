"""Looks again and again whether the ledger balances, and raises the alarm when it does not."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.accounts.balance import Ledger, imbalances, told

log = Logger()

# Seconds between looks: at least so many, and so many times as long as a look takes, so that
# counting the entries of a long queue takes less than a hundredth of one core.
INTERVAL = 300.0
SHARE = 100.0


class Audit:
    """
    The store counts in a thread of its own; here only the sums are compared.

    :ivar missing: Recipients missing by channel, as of the last look; empty: the ledger balances.
    :ivar alarms: Looks since the start that found an imbalance not told of before.
    :ivar looks: Looks since the start.
    """

    def __init__(self, store: Any, reactor: Any) -> None:
        self._store = store
        self._reactor = reactor
        self._next: IDelayedCall | None = None
        self._stopped = False
        self.missing: dict[str, int] = {}
        self.alarms = 0
        self.looks = 0

    def start(self) -> None:
        """Look now, and from now on."""
        began = self._reactor.seconds()
        looking = self.look()

        def again(_: object) -> None:
            took = max(0.0, self._reactor.seconds() - began)
            if not self._stopped:
                self._next = self._reactor.callLater(max(INTERVAL, SHARE * took), self.start)

        looking.addErrback(self._cannot).addCallback(again)

    def stop(self) -> None:
        """Look no more."""
        self._stopped = True
        if self._next is not None and self._next.active():
            self._next.cancel()

    def look(self) -> Deferred[Ledger]:
        """
        Look once.

        :return: Fires with the ledger; fails with :class:`jobctl.errors.StoreError` when it cannot be read.
        """
        looking: Deferred[Ledger] = self._store.ledger()
        return looking.addCallback(self._compare)

    def _compare(self, ledger: Ledger) -> Ledger:
        self.looks += 1
        gaps = imbalances(ledger)
        if gaps != self.missing:
            if gaps:
                self.alarms += 1
                log.critical("the ledger does not balance: {what}", what=told(gaps), missing=gaps)
            else:
                log.info("the ledger balances again")
        self.missing = gaps
        return ledger

    def _cannot(self, why: Failure) -> None:
        log.error("the ledger cannot be checked: {why}", why=why.getErrorMessage())
