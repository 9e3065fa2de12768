"""A job whose program was started by hand and speaks to us over the control socket."""

from typing import Any

from jobctl.jobs.conversation import Conversation
from jobctl.jobs.shared import Shared
from jobctl.jobs.spec import JobSpec


class AttachedJob(Conversation):
    """
    The same as :class:`jobctl.jobs.job.Job` for a program that is not our child.

    Whoever owns the connection calls :meth:`dataReceived` and
    :meth:`connectionLost`; the process is not ours to signal, only the connection.
    It has no journal: what it announces, it announces with ``sent`` frames.

    :param transport: Of the control connection (ITCPTransport or the UNIX one), ours from now on.
    :param pid: The peer's, when the socket told it; only for display.
    """

    journal = None

    def __init__(self, spec: JobSpec, shared: Shared, transport: Any, pid: int | None = None) -> None:
        super().__init__(spec, shared)
        self.pid = pid
        self._transport = transport
        # Taken from us and not by the transport, while that has enough.
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        self._full = False
        self._stop_timer: Any = None
        self._connected = True

    def start(self) -> None:
        """Say hello; the handler has heard of the job."""
        self._transport.registerProducer(self, True)
        self._greet(())

    def dataReceived(self, data: bytes) -> None:
        """Octets from the program, cut anywhere."""
        self._receive(data)

    def connectionLost(self, reason: Any = None) -> None:
        """The program has gone."""
        if not self._connected:
            return
        self._connected = False
        if self._stop_timer is not None and self._stop_timer.active():
            self._stop_timer.cancel()
        self._waiting.clear()
        self._over(None, None, "left")

    @property
    def pending(self) -> int:
        return self._waiting_size

    def pause(self) -> None:
        self._transport.pauseProducing()

    def resume(self) -> None:
        if self._connected:
            self._transport.resumeProducing()

    def stop(self, patience: float | None = None) -> None:
        if self._stop_timer is None:
            self.send_stop()
            seconds = self._shared.settings.stop_timeout if patience is None else patience
            self._stop_timer = self._shared.clock.callLater(
                seconds, self.end, "did not leave when it was told to stop"
            )

    def retire(self) -> None:
        """Whoever started it by hand ends it, or we in the ordinary way."""
        self.stop()

    def _has_finished(self) -> None:
        """It goes on until it is told to stop, or leaves."""

    def end(self, reason: str) -> None:
        self._reason = self._reason or reason
        self._transport.abortConnection()

    def _write(self, data: bytes) -> None:
        if self._full:
            self._waiting.append(data)
            self._waiting_size += len(data)
        elif self._connected:
            self._transport.write(data)

    # As the transport's producer.

    def pauseProducing(self) -> None:
        """The transport has enough."""
        self._full = True

    def resumeProducing(self) -> None:
        """The transport has nothing left: give it what waited, then read more content."""
        self._full = False
        waiting, self._waiting = self._waiting, []
        self._waiting_size = 0
        self._transport.write(b"".join(waiting))
        if not self._full:
            self._drained()

    def stopProducing(self) -> None:
        """The connection is going; :meth:`connectionLost` follows."""
