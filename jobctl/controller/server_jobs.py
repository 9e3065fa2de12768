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
    :param start: Starts a job of ours for the service, giving its id.
    :param retire: Tells a job, by its id, to take no more clients and to end when it has served those it has.
    """

    def __init__(
        self,
        reactor: Any,
        service: ServiceSettings,
        listen: tuple[int, ...],
        start: "Callable[[ServerJobs, ServiceSettings, tuple[int, ...]], str]",
        retire: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._service = service
        self._listen = listen
        self._start = start
        self._retire = retire
        # By id: whether it has said hello.
        self._running: dict[str, bool] = {}
        # To be told to leave, one for each new one that is there.
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
            self._running[self._start(self, self._service, self._listen)] = False

    def replace(self, service: ServiceSettings | None = None, listen: tuple[int, ...] | None = None) -> None:
        """
        Put new jobs in the place of all that run.

        They share the sockets; an old one is told to leave when a new one has said hello, so the service
        is never without.

        :param service: What they are to do, ``None``: the same.
        """
        self._service = service or self._service
        self._listen = self._listen if listen is None else listen
        for job, there in self._running.items():
            if there:
                self._outgoing.append(job)
            else:
                # It has no clients yet, and needs none.
                self._retire(job)
        self._running.clear()
        self._pause = FIRST_PAUSE
        self.fill()

    def resize(self, service: ServiceSettings) -> None:
        """Another ``min_procs``, and nothing else."""
        self._service = service
        for job in list(self._running)[service.min_procs :]:
            del self._running[job]
            self._retire(job)
        self.fill()

    def greeted(self, job: str) -> None:
        """A job has said hello."""
        if job not in self._running:
            # It was replaced while it began.
            if job not in self._outgoing:
                self._retire(job)
            return
        self._running[job] = True
        spare = len(self._outgoing) if all(self._running.values()) else 1
        leaving, self._outgoing = self._outgoing[:spare], self._outgoing[spare:]
        for other in leaving:
            self._retire(other)

    def ended(self, job: str, worked: bool) -> None:
        """
        A job is over, or could not be started.

        :param worked: It brought mail in, or lived for a while.
        """
        if job in self._outgoing:
            self._outgoing.remove(job)
        if job not in self._running:
            return
        del self._running[job]
        if self._stopping:
            return
        if not worked and self._outgoing:
            log.error(
                "service {service}: its new server program ends at once; the old one goes on",
                service=self._service.name,
            )
            self._running[self._outgoing.pop()] = True
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

    def close(self) -> None:
        """The service is no more: its jobs end with their clients."""
        self.stop()
        for job in (*self._running, *self._outgoing):
            self._retire(job)

    def stop(self) -> None:
        """Start no more."""
        self._stopping = True
        if self._later is not None and self._later.active():
            self._later.cancel()
