"""One connection of the SMTP client: finds a next hop that answers, then carries transactions."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from channels.kit.client_events import opened, queue_called
from channels.kit.deadlines import time_left
from channels.kit.debug import Transcript
from channels.kit.log_stream import say
from channels.kit.reports import report
from channels.kit.trace import Trace
from channels.tcp.assignment import Assignment
from channels.tcp.connection_tls import ConnectionTls
from channels.tcp.feeding import Feeding
from channels.tcp.search import Search
from channels.tcp.stream import FULL, Stream
from jobctl.jobprotocol.frames import Event, Work
from jobctl.jobprotocol.reports import bounded
from jobctl.smtp.client import ClientDialogue
from jobctl.smtp.client_config import ClientConfig
from jobctl.smtp.events import Closed, Done, NeedContent, QueueCalled, Ready, SessionFailed, StartTls

if TYPE_CHECKING:
    from channels.tcp.destination import Destination
    from jobctl.net.resolver import NextHop

# How long a connection without work is kept for what may come.
KEEP_IDLE = 10.0
# For the reply to QUIT: nothing depends on it.
QUIT_PATIENCE = 5.0


class Connection:
    """
    A slot of the pool at work for one destination.

    It tries the next hops in turn until one greets; a next hop that fails before that
    costs no message an attempt.  In the end it tells its destination either ``unreachable``
    (no hop would talk) or ``ended``.

    :ivar since: When it became ready, ``None`` before.
    """

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.pool = destination.pool
        self.since: float | None = None
        self.idle = False
        self.dialogue: ClientDialogue | None = None
        self._stream: Stream | None = None
        self._search = Search(destination, self, self._connected, self._unreachable)
        self._feeding = Feeding(self.pool.link)
        self._transport = ""
        self._open: dict[str, Assignment] = {}
        self._unsent = 0
        self._transcript: Transcript | None = None
        self._tls: ConnectionTls | None = None
        self._quitting = False
        self._ended = False
        self._touched = self.pool.now
        self._search.begin()

    @property
    def busy(self) -> int:
        """Messages it has in transaction."""
        return len(self._open)

    def work(self) -> Iterator[Work]:
        """What it is doing, for who watches."""
        hop, dialogue = self._search.hop, self.dialogue
        remote = self.destination.name if hop is None else hop.name
        if hop is not None and not hop.name.startswith("["):
            remote += f" [{hop.address}]"
        phase = "connect" if dialogue is None else dialogue.doing()
        if not self._open:
            yield Work(phase=phase, remote=remote)
        unsent = self._stream.unsent if self._stream is not None else 0
        for id, assignment in self._open.items():
            phase = dialogue.doing(id) if dialogue is not None else phase
            yield Work(id, phase, remote, max(assignment.fed - unsent, 0))

    @property
    def hop(self) -> NextHop | None:
        """Whom it talks to, or tries to."""
        return self._search.hop

    def _connected(self, skt: socket.socket, helo_only: bool, in_clear: bool) -> None:
        hop = self._search.hop
        assert hop is not None
        channel, security = self.pool.channel, self.pool.security
        policy = self.destination.security.policy
        own: tuple[str, int] = ("", 0)
        with contextlib.suppress(OSError):
            own = skt.getsockname()[:2]
        self._transport = f"TCP|{own[0]}|{own[1]}|{hop.address}|{hop.port}"
        self._touched = self.pool.now
        if channel.master_debug:
            self._transcript = Transcript(True, lambda line: say(f"{hop.name} {line}"))
            self._transcript.note(f"connected: {self._transport}")
        self._tls = ConnectionTls(self.destination.security, hop, own[0], self._transcript)
        self.dialogue = ClientDialogue(
            ClientConfig(
                helo=self.pool.sources.helo.get(own[0], channel.local_host),
                channel=channel,
                lmtp=channel.lmtp,
                helo_only=helo_only,
                loop=self.pool.loop,
                tls="none" if in_clear or channel.implicit_tls else policy,
                credentials=security.credentials,
                must_auth=security.must_auth,
            )
        )
        self._stream = Stream(self.pool.reactor, skt, self)
        if self._transcript is not None and channel.options.trace_level:
            self._stream.trace = Trace(channel.options.trace_level, True, self._transcript.note)
        if channel.implicit_tls:
            self._start_tls()

    def _start_tls(self) -> None:
        assert self._stream is not None and self._tls is not None
        self._tls.start(self._stream)

    def stream_secured(self) -> None:
        self._touched = self.pool.now
        assert self._tls is not None and self.dialogue is not None
        self._tls.secured(self.dialogue)
        self.pump()

    # Octets and time.

    def data_received(self, data: bytes) -> None:
        self._touched = self.pool.now
        if self._transcript is not None:
            self._transcript.replies(data)
        assert self.dialogue is not None
        self.dialogue.receive(data)
        self.pump()

    def stream_drained(self) -> None:
        self._touched = self.pool.now
        self._feeding.ask()

    def stream_lost(self, why: str) -> None:
        stream, self._stream = self._stream, None
        if self._transcript is not None and self.pool.channel.options.trace_level:
            self._transcript.note(f"TRACE connection: {why}")
        if self._tls is not None:
            self._tls.keep()
        if stream is not None and not self._ended and self.dialogue is not None:
            if stream.tls is not None and not stream.tls.established:
                self.dialogue.tls_failed(why if why.startswith("TLS: ") else f"TLS: {why}")
            self.dialogue.lost(why)
            self.pump()
            if (
                not self._ended
                and not self._search.running
                and self._stream is None
                and self.since is not None
            ):
                self._end()

    def expire(self, now: float) -> None:
        """Called each sweep: end what has lasted too long."""
        if self._search.running:
            self._search.expire()
            return
        if self.dialogue is None:
            return
        if self.idle and now - self._touched > KEEP_IDLE:
            self.quit()
            return
        if self._quitting and not self._open and now - self._touched > QUIT_PATIENCE:
            self._end()
            return
        unsent = self._stream.unsent if self._stream is not None else 0
        if unsent != self._unsent:
            self._unsent = unsent
            self._touched = now
        patience = self.dialogue.timeout(unsent)
        if patience is None or now - self._touched <= patience:
            return
        self._touched = now
        self.dialogue.timed_out(unsent)
        self.pump()

    # The dialogue.

    def pump(self) -> None:
        """Take what the dialogue says and give it work, until neither has more; then let its octets go."""
        dialogue = self.dialogue
        while dialogue is not None:
            while (event := dialogue.next_event()) is not None:
                self._take(event)
            if self.dialogue is not dialogue or self._ended:
                return
            if self._feeding.assignment is not None:
                self._feeding.go_on(dialogue)
            if not (dialogue.can_begin and self._stream is not None and self._begin()):
                break
        if dialogue is None:
            return
        self._flush(dialogue)
        idle = dialogue.idle and not self._open and not self._quitting and self._stream is not None
        if idle != self.idle:
            self.idle = idle
            self.destination.note_idle(self)

    def _flush(self, dialogue: ClientDialogue) -> None:
        out = dialogue.take_output()
        if out and self._stream is not None:
            self.pool.link.release(self._write, out)

    def _begin(self) -> bool:
        if self._quitting:
            return False
        if self.pool.must_yield(self):
            self._quit()
            return False
        assignment = self.destination.take()
        if assignment is None:
            return False
        if assignment.unfit and not self._fits(assignment):
            return not self._quitting
        self._open[assignment.id] = assignment
        assignment.carrier = self
        self._touched = self.pool.now
        assert self.dialogue is not None
        envelope = assignment.envelope
        self.dialogue.begin(assignment.id, envelope, assignment.octets, time_left(envelope), assignment.whole)
        return True

    def _fits(self, assignment: Assignment) -> bool:
        """A message that this exchanger cannot take goes to the next connection, which looks for another one."""
        search = self._search
        assert search.hop is not None
        if search.hop.name not in assignment.unfit:
            return True
        if search.hop.name in search.unfit:
            # All others were tried before this one.
            why = f"{search.hop.name} does not offer what it needs, and no other mail exchanger could be talked to"
            self.pool.report(assignment.given_back("recipient", "4.4.1", why))
        else:
            self.destination.put_back(assignment)
            self._quit()
        return False

    def _take(self, event: object) -> None:
        if type(event) is Done:
            self._done(event)
        elif type(event) is NeedContent:
            assert self.dialogue is not None
            self._feeding.begin(self._open[event.id], self.dialogue)
        elif type(event) is Ready:
            self.since = self.pool.now
            assert self.dialogue is not None
            self.pool.link.send(opened(self.dialogue, self._transport))
        elif type(event) is QueueCalled:
            assert self.dialogue is not None
            self.pool.link.send(queue_called(self.dialogue, self._transport, event))
        elif type(event) is StartTls:
            if self._stream is not None:
                # Nothing is left to be written: the peer has answered all that was said.
                self._start_tls()
        elif type(event) is SessionFailed:
            self._session_failed(event)
        elif type(event) is Closed:
            self._end()

    def _done(self, event: Done) -> None:
        assignment = self._open.pop(event.id)
        assignment.carrier = None
        self._feeding.over(assignment)
        if event.scope == "local" and assignment.may_restart() and not self.pool.stopping:
            # The session ended before anybody looked at it: that is no attempt.
            assignment.restarts += 1
            self.destination.put_back(assignment)
            return
        hop, search = self._search.hop, self._search
        remote = hop.name if hop is not None else ""
        if event.unsaid and not assignment.spent and not self.pool.stopping:
            unfit = assignment.unfit | {remote}
            if search.names - unfit:
                # Another exchanger may offer more; this connection makes room for one to it.
                assignment.unfit = unfit
                self.destination.put_back(assignment)
                self._quit()
                return
        told = report(event.id, event.dispositions, event.scope, event.connection, remote, self._transport)
        # Once for each connection.
        told.site, search.site = search.site, ""
        self.pool.report(bounded(told))

    def _session_failed(self, event: SessionFailed) -> None:
        stream, self._stream = self._stream, None
        if stream is not None and self.dialogue is not None:
            stream.write(self.dialogue.take_output())
            stream.close()
        search, hop = self._search, self._search.hop
        assert hop is not None
        self.dialogue = None
        self._tls = None
        self._touched = self.pool.now
        if self.since is not None:
            # It was open, and ended by itself before it had a message.
            self._tell("closed", text=event.reply)
            self.since = None
            if self.idle:
                self.idle = False
                self.destination.note_idle(self)
            if not self.destination.queue:
                self._end()
                return
        else:
            self._tell("rejected", text=event.reply)
        if event.retry_with_helo:
            search.again(helo_only=True)
        elif event.retry_in_clear:
            # Once, and said: whoever reads the log may want to know who cannot do TLS.
            say(f"{hop.name} [{hop.address}]: {event.reply}; tls_policy may: sending in the clear")
            search.again(in_clear=True)
        elif event.permanent:
            self._unreachable(event.reply, event.status, permanent=True)
        else:
            search.next(event.reply, event.status)

    def wake(self) -> None:
        """There is work again."""
        self.idle = False
        self.pump()

    def piece(self, assignment: Assignment) -> None:
        """A further piece of a message has come; send it if it is being sent."""
        if self._feeding.piece(assignment, self.dialogue):
            self.pump()

    def _write(self, data: bytes) -> None:
        stream = self._stream
        if stream is None:
            return
        if self._transcript is not None:
            self._transcript.commands(data)
        stream.write(data)
        if self._feeding.owed and stream.unsent < FULL:
            self._feeding.ask()

    # The end.

    def quit(self) -> None:
        """Finish what is open and take no more."""
        if self._ended or self._quitting:
            return
        if self.dialogue is None or self.since is None:
            self.abort()
            self.destination.ended(self)
            return
        self._quit()
        self.pump()

    def _quit(self) -> None:
        self._quitting = True
        self._touched = self.pool.now
        assert self.dialogue is not None
        self.dialogue.quit()

    def abort(self) -> None:
        """The controller is gone: whatever has not been sent to the end never will be."""
        self._ended = True
        self._quitting = True
        self._search.give_up()
        stream, self._stream = self._stream, None
        if stream is not None:
            if all(assignment.dotted for assignment in self._open.values()):
                stream.close()
            else:
                stream.abort()

    def _tell(self, event: str, text: str = "") -> None:
        """For log and counters."""
        self.pool.link.send(Event(event=event, transport=self._transport, text=text))

    def _unreachable(self, reply: str, status: str, permanent: bool = False) -> None:
        if not self._ended:
            self._ended = True
            self.destination.unreachable(self, reply, status, permanent)

    def _end(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        if not self._ended:
            self._ended = True
            if self.since is not None:
                self._tell("closed")
            self.destination.ended(self)
