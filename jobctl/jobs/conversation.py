"""What controller and program say to each other, checked; whatever carries the octets."""

from abc import ABC, abstractmethod
from typing import Any

import msgspec
from twisted.logger import Logger

from jobctl.config.settings import ChannelSettings
from jobctl.errors import ChannelViolation, ProtocolViolation
from jobctl.jobprotocol.codec import encode, from_program
from jobctl.jobprotocol.frames import (
    PIECE,
    VERSION,
    Ask,
    HelloController,
    HelloProgram,
    Message,
    Report,
    Sent,
    Stop,
    Submit,
)
from jobctl.jobs.assignment import Assignment
from jobctl.jobs.content_streams import BytesContent, ContentStreams
from jobctl.jobs.shared import Shared
from jobctl.jobs.spec import Ended, JobSpec
from jobctl.mail.disposition import Verdict

log = Logger()

# More credit, connections or window than any program needs: nobody counts past it.
_MOST = 1_000_000
# Looks at the jobs in the time after which a silent one is stuck.
LOOKS = 10


class Conversation(ABC):
    """
    One job as the controller sees it; how its octets travel is the subclass's.

    :ivar id: ``spec.id``.
    :ivar pid: The process, ``None`` when it was not started by us.
    :ivar hello: What the program said first, ``None`` until then.
    :ivar started: Epoch seconds.
    :ivar held: Messages assigned and without all their verdicts, by id.
    :ivar assigned: Messages assigned so far.
    :ivar worked: It gave a verdict or submitted mail.
    :ivar over: It has ended.
    :ivar peer: What became of the program its stdio was joined to, in words; ``""`` while it lives
        or when there is none.
    """

    pid: int | None = None

    def __init__(self, spec: JobSpec, shared: Shared) -> None:
        self.id = spec.id
        self.spec = spec
        self.hello: HelloProgram | None = None
        self.started = shared.reactor.seconds()
        self.held: dict[str, Assignment] = {}
        self.assigned = 0
        self.worked = False
        self.peer = ""
        self.over = False
        self._shared = shared
        self._handler = shared.handler
        self._reader = from_program()
        self._streams: ContentStreams | None = None
        # Why it is being ended by us; "" while it is not.  Nothing it says is heard after a violation.
        self._reason = ""
        self._deaf = False
        self._heard = True
        self._silent_looks = 0
        self._hello_timer: Any = None

    #: It was told to stop, whoever wanted that.
    leaving = False

    @property
    @abstractmethod
    def pending(self) -> int:
        """Octets not yet taken by the pipe."""

    def send(self, frame: Any, content: bytes = b"") -> None:
        """Say something; all that is said in one turn of the reactor leaves together."""
        data = encode(frame, content)
        if self._streams is not None and self._streams.in_order:
            self._streams.behind(data)
        else:
            self._write(data)

    def assign(self, frame: Message, content: Any) -> None:
        """
        Hand a message to the program, which must have said hello.

        :param content: ``bytes``, or an :class:`jobctl.interfaces.IContent` that is read as the
            program takes it and closed at the end.
        """
        if frame.id in self.held or self._streams is None:
            raise ValueError(f"job {self.id} cannot take {frame.id} now")
        self.held[frame.id] = Assignment(frame)
        self.assigned += 1
        self._heard = True
        if isinstance(content, bytes):
            if len(content) <= PIECE and not self._streams.in_order:
                self._write(encode(frame, content))
                return
            content = BytesContent(content)
        self._streams.add(frame, content)

    @abstractmethod
    def pause(self) -> None:
        """Read no more from the program for now; it stops when its pipe is full."""

    @abstractmethod
    def resume(self) -> None:
        """Read on."""

    @abstractmethod
    def stop(self, patience: float | None = None) -> None:
        """
        Ask it to finish what it holds and exit; make it, when it does not.

        :param patience: Seconds until SIGTERM, ``stop_timeout`` when ``None``.
        """

    @abstractmethod
    def retire(self) -> None:
        """
        Ask it to end when it has finished what it is doing, however long that takes.

        A master finishes what it holds; a slave takes no more connections and serves those it has.
        """

    @abstractmethod
    def end(self, reason: str) -> None:
        """
        End it now, whatever it is doing.

        :param reason: Goes into :class:`Ended`.
        """

    def look(self) -> None:
        """Called :data:`LOOKS` times in ``silence`` seconds: end it when it holds work and says nothing."""
        if self._heard or not self.held:
            self._heard = False
            self._silent_looks = 0
            return
        self._silent_looks += 1
        if self._silent_looks >= LOOKS:
            self.end(f"was stuck: it held work and said nothing for {self._shared.settings.silence:.0f} s")

    def announced(self, id: str) -> bool:
        """Whether the final dot of a message that it holds has gone out, as far as it has said so."""
        assignment = self.held.get(id)
        return assignment is not None and assignment.sent

    def heard(self) -> None:
        """Traffic other than frames: it is alive."""
        self._heard = True

    def send_stop(self, sessions: bool = False) -> None:
        """
        Say that it should finish what it holds, take no more, and exit.

        :param sessions: Its sessions may go on to their own end.
        """
        self.leaving = True
        self.send(Stop(sessions=sessions))

    # For the subclasses.

    @abstractmethod
    def _write(self, data: bytes) -> None:
        """Send encoded frames; nothing when nobody is there any more."""

    def _greet(self, listen: tuple[int, ...]) -> None:
        """
        Say hello and expect the same.

        :param listen: Descriptors as the program has them.
        """
        spec = self.spec
        self._hello_timer = self._shared.clock.callLater(self._shared.settings.hello_timeout, self._no_hello)
        channel = spec.channel
        service = spec.service or spec.offers
        if spec.debug:
            channel = msgspec.structs.replace(channel, master_debug=True, slave_debug=True)
        self.send(
            HelloController(
                version=VERSION,
                job=spec.id,
                channel=channel.name,
                role=spec.role,
                settings=msgspec.to_builtins(channel),
                host=spec.host,
                listen=listen,
                service=None if service is None else msgspec.to_builtins(service),
                mta=self._mta(),
                in_clear=spec.in_clear,
                channels=tuple(_given(one) for one in spec.others),
            )
        )

    def _mta(self) -> dict[str, object] | None:
        """What applies to all channels, as far as the program needs it."""
        mta = self._shared.settings.mta
        if self.spec.role == "slave":
            told: dict[str, object] = msgspec.to_builtins(mta)
            return told
        return {"loop": mta.loop} if "loopcheck" in self.spec.channel.keywords else None

    def _receive(self, data: bytes) -> None:
        """Octets from the program."""
        self._heard = True
        if self._deaf:
            return
        try:
            for frame, content in self._reader.frames(data):
                self._take(frame, content)
                if self._deaf:
                    break
        except ProtocolViolation as why:
            self._violated(f"broke the protocol: {why}")
        except Exception:
            log.failure("{job}: bug while handling what it said", job=self.id)
            self._violated("was ended because of an error in the controller")
        try:
            self._handler.job_batch_done(self)
        except Exception:
            log.failure("{job}: bug while acting on what it said", job=self.id)
            self._violated("was ended because of an error in the controller")

    def _take(self, frame: Any, content: bytes) -> None:
        kind = type(frame)
        if self.hello is None:
            if kind is not HelloProgram:
                raise ChannelViolation("something came before hello")
            self._greeted(frame)
        elif kind is HelloProgram:
            raise ChannelViolation("a second hello")
        if content and kind is not Submit:
            raise ChannelViolation(f"content after {kind.__name__.lower()}")
        if kind is Report:
            frame = self._settle(frame)
            if frame is None:
                return
        elif kind is Sent:
            self._holding(frame.id).sent = True
        elif kind is Ask:
            if not 0 < frame.n <= _MOST:
                raise ChannelViolation(f"ask for {frame.n}")
            if frame.id:
                if self._streams is not None:
                    self._streams.credit(frame.id, frame.n)
                return
        elif kind is Submit:
            self.worked = True
        self._handler.job_frame(self, frame, content)

    def _greeted(self, hello: HelloProgram) -> None:
        if hello.version != VERSION:
            raise ChannelViolation(f"protocol version {hello.version}; this is version {VERSION}")
        if not (0 < hello.connections <= _MOST and 0 <= hello.window <= _MOST):
            raise ChannelViolation("connections or window out of range")
        self.hello = hello
        self._cancel_hello_timer()
        self._streams = ContentStreams(hello.window, self._write, lambda: self.pending, self._content_failed)

    def _holding(self, id: str) -> Assignment:
        try:
            return self.held[id]
        except KeyError:
            raise ChannelViolation(f"it does not hold {id[:64]!r}") from None

    def _settle(self, report: Report) -> Report | None:
        """A report with all verdicts once there are all; the message is then no longer held."""
        self.worked = True
        spec = self.spec
        if report.scope == "host" and spec.channel.transport == "tcp":
            self._shared.unwilling.note(spec.channel.name, spec.next_hop, report.transport)
        whole = self._holding(report.id).report(report)
        if whole is not None:
            del self.held[report.id]
            if self._streams is not None:
                self._streams.cancel(report.id)
            if not self.held:
                self._has_finished()
        return whole

    @abstractmethod
    def _has_finished(self) -> None:
        """It holds nothing any more."""

    def _content_failed(self, id: str, begun: bool, why: str) -> None:
        """
        Content cannot be read.

        Unsent, the message just comes back.  There is no way to take back a message of which
        a part has gone, and it must not look complete: so the job ends, and the others it
        holds are deferred with it.
        """
        text = f"the content of {id} cannot be read: {why}"
        log.error("{job}: {text}", job=self.id, text=text, entry=id)
        if id in self.held:
            self.held[id].damage = why
        if begun:
            self.end(f"was ended: {text}")
        elif id in self.held:
            del self.held[id]
            report = Report(
                id=id, verdict=Verdict.DEFERRED, status="4.3.0", reply=f"451 4.3.0 {text}", scope="local"
            )
            self._handler.job_frame(self, report, b"")
            # It does not know that it was given a message: its credit is as it was.
            self._handler.job_frame(self, Ask(n=1), b"")
            if not self.held:
                self._has_finished()

    def _drained(self) -> None:
        """The pipe took all that was pending."""
        if self._streams is not None:
            self._streams.pump()

    def _no_hello(self) -> None:
        self.end(f"did not say hello within {self._shared.settings.hello_timeout:.0f} s")

    def _cancel_hello_timer(self) -> None:
        if self._hello_timer is not None and self._hello_timer.active():
            self._hello_timer.cancel()

    def _violated(self, reason: str) -> None:
        self._deaf = True
        self.end(reason)

    def _over(
        self,
        exit_status: int | None,
        signal: int | None,
        text: str,
        stopped: bool = False,
        lost: bool = False,
    ) -> None:
        """Tell the supervisor; nothing happens to this object after."""
        self._deaf = True
        self.over = True
        self._cancel_hello_timer()
        for id in self._streams.close() if self._streams is not None else ():
            if id in self.held:
                self.held[id].untouched = True
        how = Ended(
            exit_status=exit_status,
            signal=signal,
            greeted=self.hello is not None,
            worked=self.worked,
            text=self._reason or text,
            stopped=stopped and not self._reason,
            lost=lost,
        )
        self._shared.ended(self, how)


# Long, the same in all channels, and for what goes out.
_OUTWARD = ("tls_rules", "ip_access", "use_ip_access")


def _given(channel: ChannelSettings) -> dict[str, object]:
    """What of a source channel's settings is not as by default: there may be many channels."""
    plain = ChannelSettings(name="", official_host_name="", local_host="")
    fields = (
        name
        for name in ChannelSettings.__struct_fields__
        if name not in _OUTWARD and getattr(channel, name) != getattr(plain, name)
    )
    return {name: msgspec.to_builtins(getattr(channel, name)) for name in fields}
