"""A reactor whose events reach the descriptor they were meant for, never the next one of its number."""

from collections.abc import Iterable
from typing import Any

Found = Iterable[tuple[int, int]]


class SurePoller:
    """
    The poller of a reactor (epoll or poll), between the kernel and Twisted.

    Twisted is told of many descriptors at once, and looks for who has the number when an event's turn
    comes.  If that one was closed on behalf of an earlier event and another opened since, the new one got
    an event that is not its own: as a hang-up it ended a pipe that nobody had closed, as room to write
    it made a connection out of one that was still being made.

    :param poller: ``select.epoll`` or ``select.poll``.
    :param selectables: Who has which number, kept by the reactor.
    """

    def __init__(self, poller: Any, selectables: dict[int, Any]) -> None:
        self._poller = poller
        self._selectables = selectables
        self.register = poller.register
        self.modify = poller.modify
        self.unregister = poller.unregister

    def poll(self, *args: Any) -> Found:
        """What happened; an event is left out if its number has changed hands by the time it is asked for."""
        found = self._poller.poll(*args)
        return found if len(found) < 2 else self._sure(found)

    def _sure(self, found: list[tuple[int, int]]) -> Found:
        whose = self._selectables.get
        meant = [(one, whose(one[0])) for one in found]
        # Whoever has it now is told in the next turn, if it happened to that one too: all of it is level-triggered.
        return (one for one, who in meant if whose(one[0]) is who)


def install(reactor: Any) -> None:
    """From now on the reactor's events are sure; one that has no poller (asyncio, select) looks itself."""
    poller = getattr(reactor, "_poller", None)
    if poller is not None and not isinstance(poller, SurePoller):
        reactor._poller = SurePoller(poller, reactor._selectables)
