"""
An SMTP client on standard output and input: the model of a master channel program.

It asks the Job Controller for messages, writes SMTP commands to stdout, reads
the replies on stdin and reports a verdict for every recipient.  Without a
gateway only messages for one host go down the pipe: the host of this run, or
else of the first message.
"""

import sys
import time
from collections.abc import Iterable
from typing import Any, Literal

import jobctl
from channels.kit.client_events import opened, queue_called
from channels.kit.client_security import ClientSecurity
from channels.kit.deadlines import time_left
from channels.kit.held_output import HeldOutput
from channels.kit.in_hand import InHand
from channels.kit.link import WINDOW, Assignment
from channels.kit.log_stream import say
from channels.kit.program import Run
from channels.kit.program import main as run_program
from channels.kit.reports import of_failure, report
from channels.kit.startup import EX_OK, EX_TEMPFAIL
from channels.kit.stdio import Stdio
from channels.kit.stdio_debug import StdioDebug
from channels.kit.stdio_tls import StdioTls
from jobctl.config.settings import ChannelSettings
from jobctl.jobprotocol.frames import Event, HelloController, Work
from jobctl.net.sources import Sources
from jobctl.smtp.client import ClientDialogue
from jobctl.smtp.client_config import ClientConfig
from jobctl.smtp.events import Closed, Done, NeedContent, QueueCalled, Ready, SessionFailed, StartTls

NAME = "test_smtp_master"

# After the session has failed: for the message that was asked for, so that somebody learns why.
_LAST_MESSAGE_PATIENCE = 5.0
# After nobody reads our commands: for the last words of the peer, which may say why.
_LAST_WORDS_PATIENCE = 5.0


class SmtpMaster:
    """One session; see :class:`channels.kit.program.Duty` for what is called when."""

    def __init__(self, run: Run) -> None:
        self.status: int | None = None
        self.deadline: float | None = None
        self._run = run
        self._stdio = Stdio(run.loop, self._received, self._output_lost)
        self._debug = StdioDebug(self._stdio, client=True)
        self._dialogue: ClientDialogue | None = None
        self._channel: ChannelSettings
        self._hand: InHand
        self._begun: dict[str, Assignment] = {}
        self._feeding: Assignment | None = None
        self._ready = False
        self._leaving = False
        self._quitting = False
        self._failure: SessionFailed | None = None
        self._over = False
        self._exit = EX_OK
        self._interrupted = False
        self._output = HeldOutput(run, self._stdio)
        self._moved = False
        self._written = 0
        self._remote = ""
        self._transport = run.start.transport.text
        self._hello: HelloController
        self._security: ClientSecurity
        self._tls: StdioTls | None = None
        self._homeless = False

    def begin(self, hello: HelloController, channel: ChannelSettings) -> None:
        self._hello = hello
        self._channel = channel
        self._hand = InHand(self._run.link, channel, hello.host)
        self._security = ClientSecurity(channel)
        self._remote = channel.gateway or hello.host or ""
        # Started by hand, it learns from the first message where the pipe leads: by that goes the TLS policy.
        self._homeless = not self._remote and bool(channel.tls_rules)
        if not self._homeless:
            self._open(self._remote)
        # One, so that there is somebody to tell if the peer does not even greet us.
        self._hand.ask(1)

    def _open(self, destination: str) -> None:
        """Begin the dialogue."""
        hello, channel = self._hello, self._channel
        self._homeless = False
        self._remote = destination or self._run.start.transport.remote_ip
        tls = self._tls = StdioTls(self._stdio, self._security.towards(destination), self._remote)
        in_clear = hello.in_clear == "now" and tls.policy == "may"
        self._dialogue = ClientDialogue(
            ClientConfig(
                helo=Sources(channel).helo.get(self._run.start.transport.local_ip, channel.local_host),
                channel=channel,
                lmtp=channel.lmtp,
                loop=str((hello.mta or {}).get("loop", "")),
                tls="none" if channel.implicit_tls or in_clear else tls.policy,
                credentials=self._security.credentials,
                must_auth=self._security.must_auth,
            )
        )
        if channel.master_debug:
            title = f"{NAME} {jobctl.__version__}, channel {channel.name}, to {self._remote}"
            self._debug.show(title, channel.options.trace_level)
            tls.transcript = self._debug.transcript
        self._stdio.read(True)
        self._moved = True
        if channel.implicit_tls:
            self._start_tls()

    @property
    def busy(self) -> bool:
        """A message is under way: its verdict follows."""
        return bool(self._begun)

    # Standard input and output.

    def _received(self, data: bytes) -> None:
        assert self._dialogue is not None
        self._moved = True
        if not data:
            self._lost("connection lost: end of input")
            return
        self._debug.replies(data)
        self._dialogue.receive(data)

    def _start_tls(self, event: StartTls | None = None) -> None:
        assert self._dialogue is not None and self._tls is not None
        self._tls.start(self._dialogue, self._shaken)

    def _shaken(self, lost: str) -> None:
        """The handshake is over; ``lost``: so is the connection."""
        self._moved = True
        if lost:
            self._lost(lost)

    def _output_lost(self, why: str) -> None:
        if self._dialogue is not None:
            self.deadline = time.monotonic() + _LAST_WORDS_PATIENCE

    def _lost(self, why: str) -> None:
        assert self._dialogue is not None
        if not self._over and self._failure is None:
            if (self._begun or self._hand.waiting) and not self._quitting:
                self._exit = EX_TEMPFAIL
                say(why)
            session = self._stdio.tls
            if session is not None and not session.established:
                self._dialogue.tls_failed(f"TLS: {why}")
            self._dialogue.lost(why)

    # The controller.

    def hear(self, event: Any) -> None:
        if type(event) is Assignment:
            self._hand.came(event)

    def work(self) -> Iterable[Work]:
        dialogue = self._dialogue
        if dialogue is None:
            return
        for id, assignment in self._begun.items():
            yield Work(id, dialogue.doing(id), self._remote, assignment.taken)
        if not self._begun:
            yield Work(phase=dialogue.doing(), remote=self._remote)

    def link_lost(self) -> None:
        # Nothing can be reported any more: what is not sent yet must not be.
        self._stdio.outlet.abandon()
        self.status = EX_TEMPFAIL

    # Each turn.

    def turn(self) -> None:
        if self._homeless:
            if self._hand.waiting:
                self._open(self._hand.waiting[0].message.host)
            elif self._run.link.stopping:
                self._over = True
        dialogue = self._dialogue
        if dialogue is None:
            return
        self._events(dialogue)
        while self._feed(dialogue) or self._begin_next(dialogue):
            self._events(dialogue)
        if self._failure is not None:
            self._report_failure(self._failure)
        elif self._over:
            self._hand.give_back()
        elif self._ready:
            self._hand.fill(len(self._begun))
            self._quit_when_done(dialogue)
        self._write(dialogue)

    def _events(self, dialogue: ClientDialogue) -> None:
        while (event := dialogue.next_event()) is not None:
            self._moved = True
            _ACT[type(event)](self, event)

    def _write(self, dialogue: ClientDialogue) -> None:
        output = dialogue.take_output()
        if output:
            self._moved = True
            self._debug.commands(output)
            self._output.write(output)

    def _feed(self, dialogue: ClientDialogue) -> bool:
        """Pass on content that is here, as far as the peer takes it; ``True``: its end was sent."""
        assignment = self._feeding
        while assignment is not None and dialogue.wants_content and not self._output.full:
            piece = assignment.take()
            if piece is not None:
                dialogue.feed(piece)
                self._run.progress += 1
                self._write(dialogue)
            elif assignment.complete:
                self._feeding = None
                self._run.announcements.add(assignment.message.id, assignment.message.attempt)
                dialogue.finish()
                return True
            else:
                return False
        return False

    def _begin_next(self, dialogue: ClientDialogue) -> bool:
        if not dialogue.can_begin or self._leaving or self._stdio.outlet.broken:
            return False
        assignment = self._hand.take()
        if assignment is None:
            return False
        message = assignment.message
        self._remote = self._remote or message.host
        self._begun[message.id] = assignment
        assert message.envelope is not None
        left = time_left(message.envelope)
        dialogue.begin(message.id, message.envelope, message.octets, left, assignment.whole)
        return True

    def _quit_when_done(self, dialogue: ClientDialogue) -> None:
        nothing_comes = self._run.link.stopping or self._leaving or self._hand.left == 0
        if self._leaving:
            self._hand.give_back()
        if nothing_comes and not self._hand.waiting and not self._begun and not self._quitting:
            self._quitting = True
            dialogue.quit()

    def flush(self) -> None:
        outlet = self._stdio.outlet
        self._output.release()
        if outlet.written != self._written:
            self._written = outlet.written
            self._moved = True
        if self._moved:
            self._moved = False
            self._restart_clock()
        if self._over and not outlet.pending and self.status is None:
            self._stdio.close_tls()
            outlet.flush()
            # What was on its way here when the session ended goes back, too.
            self._run.look_again()
            self._hand.give_back()
            outlet.restore()
            self.status = self._exit

    # Time.

    def _restart_clock(self) -> None:
        if self._dialogue is None or self._failure is not None or self._stdio.outlet.broken:
            return
        wait = self._dialogue.timeout(self._output.pending)
        if wait is None and self._feeding is not None:
            wait = self._channel.options.seconds("data_transmit_time")
        self.deadline = None if wait is None else time.monotonic() + wait

    def timed_out(self) -> None:
        self._moved = True
        if self._failure is not None or self._over or self._dialogue is None:
            self._stdio.outlet.abandon()
            self._failure = None
            self._over = True
        elif self._stdio.outlet.broken:
            self._lost("connection lost: the peer does not read any more")
        else:
            self._exit = EX_TEMPFAIL
            unsent = self._output.pending
            self._dialogue.timed_out(unsent)
            if unsent:
                self._stdio.outlet.abandon()

    def leave(self) -> None:
        self._leaving = True
        if not self._ready:
            self._over = True

    # What the dialogue tells.

    def _greeted(self, event: Ready) -> None:
        assert self._dialogue is not None
        self._ready = True
        banner = self._dialogue.banner
        name = banner.split(None, 1)[0] if banner.strip() else ""
        if "." in name:
            self._remote = name[:255]
        self._run.link.send(opened(self._dialogue, self._transport))

    def _queue_called(self, event: QueueCalled) -> None:
        assert self._dialogue is not None
        self._run.link.send(queue_called(self._dialogue, self._transport, event))

    def _content_wanted(self, event: NeedContent) -> None:
        self._feeding = self._begun[event.id]

    def _done(self, event: Done) -> None:
        assignment = self._begun.pop(event.id)
        if assignment is self._feeding:
            self._feeding = None
        self._run.progress += 1
        self._interrupted = not event.connection
        self._run.link.report(
            report(event.id, event.dispositions, event.scope, event.connection, self._remote, self._transport)
        )

    def _failed(self, event: SessionFailed) -> None:
        self._failure = event
        self._exit = EX_TEMPFAIL
        # It may have been open, and then ended by itself before it had a message.
        what: Literal["closed", "rejected"] = "closed" if self._ready else "rejected"
        self._run.link.send(Event(event=what, transport=self._transport, text=event.reply))
        who = self._remote or "the peer"
        if event.retry_in_clear and self._hello.in_clear == "offered":
            say(f"{who}: {event.reply}; tls_policy may: the next connection is in the clear")
        else:
            say(f"no session with {who}: {event.reply}")
        self.deadline = time.monotonic() + _LAST_MESSAGE_PATIENCE

    def _report_failure(self, failure: SessionFailed) -> None:
        """Tell of the first message what happened; the others were not tried."""
        waiting = self._hand.waiting
        if not waiting and self._hand.expected and not self._run.link.stopping:
            return
        self._failure = None
        self._over = True
        if waiting:
            id, offered = waiting.popleft().message.id, self._hello.in_clear == "offered"
            self._run.link.report(of_failure(id, failure, offered, self._remote, self._transport))
        self._hand.give_back()

    def _closed(self, event: Closed) -> None:
        self._over = True
        if not self._quitting and self._hand.left != 0 and (self._interrupted or self._hand.waiting):
            self._exit = EX_TEMPFAIL
        self._run.link.send(Event(event="closed", transport=self._transport))


_ACT: dict[type, Any] = {
    Ready: SmtpMaster._greeted,
    QueueCalled: SmtpMaster._queue_called,
    NeedContent: SmtpMaster._content_wanted,
    Done: SmtpMaster._done,
    StartTls: SmtpMaster._start_tls,
    SessionFailed: SmtpMaster._failed,
    Closed: SmtpMaster._closed,
}


def main() -> int:
    """The console script; the exit status is of sysexits.h."""
    return run_program(NAME, "master", WINDOW, SmtpMaster)


if __name__ == "__main__":
    sys.exit(main())
