"""Destinations that fail and answer: told to the schedule, and remembered for the next life."""

from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

log = Logger()


class Hosts:
    """
    Keeps what the store knows of backed off hosts as the schedule has it.

    :param store: jobctl.interfaces.IMessageStore
    :param scheduler: jobctl.schedule.scheduler.Scheduler
    """

    def __init__(self, store: Any, scheduler: Any) -> None:
        self._store = store
        self._scheduler = scheduler

    def failed(self, channel: str, host: str, reply: str, now: float) -> None:
        """A destination could not be talked to."""
        backoff = self._scheduler.host_failed(channel, host, now)
        self._remember(channel, host, backoff.failures, backoff.until, reply)

    def answered(self, channel: str, host: str, now: float) -> None:
        """A destination has answered."""
        if self._scheduler.host_answered(channel, host, now):
            self._remember(channel, host, 0, 0.0, "")

    def _remember(self, channel: str, host: str, failures: int, until: float, reply: str) -> None:
        self._store.set_host_backoff(channel, host, failures, until, reply).addErrback(_forgotten, host)


def _forgotten(why: Failure, host: str) -> None:
    # Only the next life would have used it.
    log.warn("the backoff of {host} cannot be stored: {why}", host=host, why=why.getErrorMessage())
