"""A thread that does what it is given in order, and tells the reactor of many results at once."""

from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.errors import StoreError

log = Logger()

# A Deferred and what it fires with: a value, or a Failure.
Outcome = tuple["Deferred[Any]", Any]
# Nothing to do for so long is idle.
_IDLE = 0.5


class Task(Protocol):
    """What a worker is given: it has the Deferred that its result fires."""

    done: "Deferred[Any]"


T = TypeVar("T", bound=Task)


class Worker(Generic[T]):
    """
    :param reactor: Only its ``callFromThread`` is used.
    :param perform: Runs in the thread with all that has gathered; yields outcomes in portions,
        each of which is handed to the reactor's thread in one go.
    :param idle: Runs in the thread when nothing came for a while after work; ``True`` asks for another turn.
    :param finish: Runs in the thread at the end.
    """

    def __init__(
        self,
        name: str,
        reactor: Any,
        perform: Callable[[list[T]], Iterator[list[Outcome]]],
        idle: Callable[[], bool] | None = None,
        finish: Callable[[], None] | None = None,
    ) -> None:
        self._reactor = reactor
        self._perform = perform
        self._idle = idle
        self._finish = finish
        self._waiting: SimpleQueue[list[T] | None] = SimpleQueue()
        self._stopped: Deferred[None] = Deferred()
        self._thread = Thread(target=self._run, name=f"store-{name}", daemon=True)
        self._thread.start()

    def put(self, tasks: list[T]) -> None:
        """Have tasks done, after all that were put before; from any thread."""
        self._waiting.put(tasks)

    def stop(self) -> "Deferred[None]":
        """Fires when all that was put has been done and the thread is about to end."""
        self._waiting.put(None)
        return self._stopped

    def _run(self) -> None:
        worked = False
        while True:
            try:
                tasks = self._waiting.get(timeout=_IDLE if worked and self._idle else None)
            except Empty:
                worked = bool(self._guard(self._idle))
                continue
            if tasks is None:
                break
            more = self._gather(tasks)
            worked = True
            self._work(tasks)
            if not more:
                break
        self._guard(self._finish)
        self._reactor.callFromThread(self._stopped.callback, None)

    def _gather(self, tasks: list[T]) -> bool:
        """Add what else is waiting; ``False`` when the end is among it."""
        while True:
            try:
                further = self._waiting.get_nowait()
            except Empty:
                return True
            if further is None:
                return False
            tasks += further

    def _work(self, tasks: list[T]) -> None:
        try:
            for outcomes in self._perform(tasks):
                self._reactor.callFromThread(_fire, outcomes)
        except Exception:
            log.failure("store: a bug; what was being done is reported as failed")
            failed = Failure(StoreError("internal error in the store"))
            self._reactor.callFromThread(_fire, [(task.done, failed) for task in tasks])

    def _guard(self, step: Callable[[], object] | None) -> object:
        if step is not None:
            try:
                return step()
            except Exception:
                log.failure("store: a bug while idle or closing")
        return None


def _fire(outcomes: list[Outcome]) -> None:
    for done, value in outcomes:
        # After a bug a whole batch is reported as failed, also those that were told before.
        if not done.called:
            done.callback(value)
