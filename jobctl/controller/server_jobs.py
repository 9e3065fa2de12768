"""The dispatcher's part: listening sockets, and the server jobs that share them."""

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from jobctl.config.settings import ServiceSettings

log = Logger()

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


class ServerJobs:
    """
    Keeps ``min_procs`` server jobs running for one service.

    A job that worked is replaced at once; one that did not is replaced ever
    more slowly, up to a minute.

    :param listen: Descriptors of the service's listening sockets, open as long as we live.
    :param start: Starts a job for the service, giving its id.
    :param stop: Stops a job, by its id, once its clients are served.
    """

    def __init__(
        self,
        reactor: Any,
        service: ServiceSettings,
        listen: tuple[int, ...],
        start: Callable[[ServiceSettings, tuple[int, ...]], str],
        stop: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._service = service
        self._listen = listen
        self._start = start
        self._stop = stop
        self._running: set[str] = set()
        # To be stopped, one for each new one that is there.
        self._outgoing: list[str] = []
        self._pause = FIRST_PAUSE
        self._later: IDelayedCall | None = None
        self._stopping = False

    def fill(self) -> None:
        """Start as many jobs as are missing."""
        if self._later is not None and self._later.active():
            self._later.cancel()
        self._later = None
        while not self._stopping and len(self._running) < self._service.min_procs:
            self._running.add(self._start(self._service, self._listen))

    def replace(self) -> None:
        """
        Put new jobs in the place of all that run.

        They share the sockets; an old one is told to stop when a new one has said hello, so the service
        is never without.
        """
        self._outgoing += sorted(self._running)
        self._running.clear()
        self.fill()

    def greeted(self, job: str) -> None:
        """A job has said hello."""
        if job in self._running and self._outgoing:
            self._stop(self._outgoing.pop(0))

    def ended(self, job: str, worked: bool) -> None:
        """
        A job is over, or could not be started.

        :param worked: It brought mail in, or lived for a while.
        """
        if job in self._outgoing:
            self._outgoing.remove(job)
        if job not in self._running:
            return
        self._running.discard(job)
        if self._stopping:
            return
        if not worked and self._outgoing:
            log.error(
                "service {service}: its new server program ends at once; the old one goes on",
                service=self._service.name,
            )
            self._running.add(self._outgoing.pop())
            return
        if worked:
            self._pause = FIRST_PAUSE
            self.fill()
        elif self._later is None:
            log.error(
                "service {service}: its server program ended before its first work; next start in {pause} s",
                service=self._service.name,
                pause=self._pause,
            )
            self._later = self._reactor.callLater(self._pause, self.fill)
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def stop(self) -> None:
        """Start no more."""
        self._stopping = True
        if self._later is not None and self._later.active():
            self._later.cancel()
