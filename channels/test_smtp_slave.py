"""
An SMTP server on standard input and output: the model of a slave channel program.

It greets, asks the Job Controller about each recipient, hands over what comes
in, and answers 250 only when the controller has it for good.  It serves until
QUIT, the end of its input or a timeout, and exits 0.
"""

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

import jobctl
from channels.kit.arrival import Reception
from channels.kit.events import aborted, refused_port
from channels.kit.link import WINDOW
from channels.kit.log_stream import say
from channels.kit.program import Run
from channels.kit.program import main as run_program
from channels.kit.slave_client import SlaveClient
from channels.kit.slave_questions import CONTROLLER_PATIENCE, LATER, SlaveQuestions
from channels.kit.slave_rules import SlaveRules
from channels.kit.slave_security import SlaveSecurity
from channels.kit.slave_tls import SlaveTls
from channels.kit.source_channels import SourceChannels
from channels.kit.startup import EX_OK, EX_TEMPFAIL, CannotStart
from channels.kit.stdio import Stdio
from channels.kit.stdio_debug import StdioDebug
from channels.kit.xclient import impersonated
from jobctl.config.settings import ChannelSettings, ServiceSettings
from jobctl.jobprotocol.frames import HelloController, Located, Stop, Work
from jobctl.mail.reply import Reply
from jobctl.mapping.access import Permission
from jobctl.smtp.questions import Authenticated, Proxied, StartTls
from jobctl.smtp.replies import encode
from jobctl.smtp.server import ServerDialogue

NAME = "test_smtp_slave"

# What the dialogue may hold unread before reading stops.
_BUFFERED = 512 * 1024


class SmtpSlave:
    """One session; see :class:`channels.kit.program.Duty` for what is called when."""

    def __init__(self, run: Run) -> None:
        self.status: int | None = None
        self.deadline: float | None = None
        self._run = run
        self._stdio = Stdio(run.loop, self._received, self._output_lost)
        self._debug = StdioDebug(self._stdio, client=False)
        self._dialogue: ServerDialogue
        self._questions: SlaveQuestions
        self._tls: SlaveTls
        self._sources: SourceChannels
        self._rules: SlaveRules
        self._channel: ChannelSettings
        self._came_by: ChannelSettings
        self._begun = False
        self._site = ""
        self._purge = 0.0
        self._client: SlaveClient
        self._greeted = False
        self._ended = False
        self._exit = EX_OK
        self._session_end = float("inf")

    def begin(self, hello: HelloController, channel: ChannelSettings) -> None:
        start = self._run.start
        mta = hello.mta or {}
        self._channel = channel
        self._sources = sources = SourceChannels(channel, hello)
        service = None if hello.service is None else msgspec.convert(hello.service, ServiceSettings)
        try:
            self._security = security = SlaveSecurity(sources.offers, service, self._run.loop)
        except CannotStart:
            if service is None or not service.implicit_tls:  # else the client waits for a handshake
                self._turn_away()
            raise
        self._client = client = SlaveClient(self._run, sources, start.transport)
        self._rules = SlaveRules(service, mta, security)
        config = self._rules.of(channel, client.address)
        self._dialogue = ServerDialogue(config, time.time, start.application, client.address)
        product = channel.options.custom_version_string or f"jobctl {jobctl.__version__}"
        reception = Reception(self._run.link.send, time.time, mta, product)
        self._questions = SlaveQuestions(
            self._run,
            self._dialogue,
            client=client,
            tables=self._rules.tables,
            reception=reception,
            security=security,
            wait=self._wait,
        )
        self._tls = SlaveTls(self._stdio, security)
        self._show(channel)
        self._begun = True
        if channel.options.session_time is not None:
            self._session_end = time.monotonic() + channel.options.seconds("session_time")
        self._come_in(client.transport.text)

    def _come_in(self, transport: str) -> None:
        permission = self._permission(transport)
        self._purge = (permission.delay or self._channel.options.banner_purge_delay) / 100
        if permission.refusal is None:
            self._find_channel(self._open)
            return
        # It was there, by the channel of the service; whoever waits for a handshake cannot read why it may not.
        self._questions.tell("opened")
        if not self._security.implicit:
            self._stdio.write(encode(permission.refusal))
        self._keep_out(permission)
        self._greeted = True

    def _permission(self, transport: str) -> Permission:
        permission = self._rules.permission(transport)
        self._site = permission.site
        self._dialogue.permit_private(permission.private)
        return permission

    def _keep_out(self, permission: Permission) -> None:
        self._run.link.send(refused_port(permission, self._client.transport.text))
        self._dialogue.lost(f"PORT_ACCESS: {permission.refusal}")

    def _show(self, channel: ChannelSettings) -> None:
        """The log gets the dialogue (``slave_debug``)."""
        if channel.slave_debug:
            title = f"{NAME} {jobctl.__version__}, channel {channel.name}"
            self._debug.show(title, self._channel.options.trace_level)

    def _switch(self, channel: ChannelSettings) -> None:
        """The client comes in by this channel from here on."""
        if channel is not self._dialogue.config.channel:
            self._take_over(channel)

    def _take_over(self, channel: ChannelSettings) -> None:
        """The same where the client is another, too."""
        self._show(channel)
        self._dialogue.reconfigure(self._rules.of(channel, self._client.address))
        self._client.look_up(channel)

    def _find_channel(self, then: Callable[[ChannelSettings], None]) -> None:
        self._client.find_channel(then)
        if self._client.locating:
            self._wait(CONTROLLER_PATIENCE)

    def _proxied(self, question: Proxied) -> None:
        told = impersonated(self._client.transport, question.attributes)
        if isinstance(told, Reply):
            self._dialogue.answer(told)
            return
        self._client.become(told)
        permission = self._permission(told.text)
        if permission.refusal is not None:
            self._dialogue.answer(permission.refusal)
            self._keep_out(permission)
            return
        user = question.attributes.get("LOGIN")
        self._find_channel(lambda channel: self._believe(channel, user))

    def _believe(self, channel: ChannelSettings, user: str | None) -> None:
        """What was said of the client counts, once its channel is known."""
        self._came_by = channel
        self._take_over(channel if user is None else self._sources.authenticated(channel))
        self._answer(Reply(220))

    def _open(self, channel: ChannelSettings) -> None:
        self._came_by = channel
        self._take_over(channel)
        self._questions.tell("opened")
        self._stdio.read(True)
        if self._security.implicit:
            self._start_tls()
        else:
            self._welcome()

    def _welcome(self) -> None:
        if self._purge:
            # What the client says before our banner is dropped by the dialogue.
            self.deadline = time.monotonic() + self._purge
        else:
            self._greet()

    def _greet(self) -> None:
        self._greeted = True
        self._dialogue.connected()
        self._restart_clock()

    def _start_tls(self) -> None:
        self._tls.start(self._dialogue, self._secured, self._tls_lost)
        self._restart_clock()

    def _secured(self, info: str, user: str | None) -> None:
        self._switch(self._sources.secured(self._came_by))  # forgotten what AUTH in the clear had led to
        if user is not None:
            self._authenticated()
        self._debug.note(f"TLS: {info}")
        if self._security.implicit:
            self._welcome()

    def _authenticated(self) -> None:
        self._switch(self._sources.authenticated(self._dialogue.config.channel))

    def _tls_lost(self, why: str) -> None:
        self._dialogue.lost(why)
        self._ended = True

    @property
    def busy(self) -> bool:
        """What is said to the controller is never held back."""
        return False

    # Standard input and output.

    def _received(self, data: bytes) -> None:
        if not data:
            self._ended = True
            return
        self._debug.commands(data)
        self._dialogue.receive(data)
        self._run.progress += 1
        if self._greeted:
            self._restart_clock()

    def _output_lost(self, why: str) -> None:
        if self._begun:
            self._dialogue.lost(f"the client is gone: {why}")
        self._ended = True

    # The controller.

    def hear(self, event: Any) -> None:
        if type(event) is Stop:
            self.leave()
        elif type(event) is Located:
            self._client.heard(event)
        elif self._begun and (reply := self._questions.answer_to(event)) is not None:
            self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        self._questions.asked = ""
        self._run.progress += 1
        self._dialogue.answer(reply)
        self._restart_clock()

    def work(self) -> Iterable[Work]:
        if self._begun:
            yield Work(phase=self._dialogue.doing, remote=self._client.address)

    def link_lost(self) -> None:
        self._exit = EX_TEMPFAIL
        if not self._begun:
            self._turn_away()
            self.status = EX_TEMPFAIL
            return
        self.leave()
        if self._questions.asked:
            self._answer(LATER)

    def _turn_away(self) -> None:
        """What it takes to serve the client is not there."""
        self._stdio.outlet.write(b"421 4.3.2 Service not available, try again later\r\n")
        self._stdio.outlet.flush()

    # Each turn.

    def turn(self) -> None:
        if not self._begun:
            return
        dialogue = self._dialogue
        while not self._run.link_full and (question := dialogue.next_question()) is not None:
            if type(question) is StartTls:
                self._start_tls()
            elif type(question) is Proxied:
                self._proxied(question)
            else:
                self._questions.take(question)
                if type(question) is Authenticated:
                    self._authenticated()
        output = dialogue.take_output()
        if output:
            self._debug.replies(output)
            self._stdio.write(output)
        self._questions.conclude(self._stdio.outlet, self._ended)
        if self._questions.look():  # for content there is another time than for commands
            self._restart_clock()
        if not self._ended:
            self._stdio.read(not self._busy())

    def _busy(self) -> bool:
        """Whether the client has to wait: with so much unread, or unsent, nothing more is taken."""
        return (
            self._run.link_full
            or self._client.locating
            or self._stdio.outlet.full
            or (self._dialogue.waiting and self._dialogue.buffered > _BUFFERED)
        )

    def flush(self) -> None:
        outlet = self._stdio.outlet
        outlet.flush()
        if not self._begun:
            return
        if outlet.since is not None:
            # A reply has a time of its own, whatever comes in meanwhile.
            end = outlet.since + self._channel.options.seconds("status_transmit_time")
            self.deadline = min(self.deadline or end, end)
            return
        over = self._dialogue.closing or (
            self._ended and not self._dialogue.waiting and not self._run.link_full
        )
        if over and self.status is None:
            self._close()

    def _close(self) -> None:
        dialogue = self._dialogue
        if not dialogue.closing:
            if self._questions.arrival is None:
                for event in aborted(dialogue, self._client.transport.text, "end of input"):
                    self._run.link.send(event)
            dialogue.lost("end of input")
        # What was begun and will not end is dropped.
        while (question := dialogue.next_question()) is not None:
            if type(question) not in (StartTls, Proxied):
                self._questions.take(question)
        how = "cut" if dialogue.cut else "closed"
        self._questions.tell(how, text=dialogue.close_reason, site=self._site)
        self._debug.note(f"closed {dialogue.close_reason}".strip())
        self._stdio.close_tls()
        self._stdio.outlet.flush()
        self._stdio.outlet.restore()
        self.status = self._exit

    # Time.

    def _restart_clock(self) -> None:
        """The client, or the controller, has so long from now."""
        self._wait(CONTROLLER_PATIENCE if self._dialogue.waiting else self._dialogue.timeout())

    def _wait(self, seconds: float) -> None:
        self.deadline = min(time.monotonic() + seconds, self._session_end)

    def timed_out(self) -> None:
        if self._begun and self._questions.hand_over_keys():
            self._run.progress += 1
            self._restart_clock()
        elif self._begun and (reply := self._questions.delayed) is not None:
            self._questions.delayed = None
            self._answer(reply)
        elif self._begun and self._security.checking:
            self._security.give_up(f"no answer within {self._security.patience:.0f} s")
        elif self._client.locating:
            say(
                f"the Job Controller did not say by which channel the client comes in: it is {self._channel.name}"
            )
            self._client.give_up()
        elif not self._greeted and self._tls.shaking:
            self._tls_lost("timeout in the TLS handshake")
        elif not self._greeted:
            self._greet()
        elif self._stdio.outlet.pending:
            # It does not even read what we say.
            self._output_lost("it does not read our replies")
            self._stdio.outlet.abandon()
        elif time.monotonic() >= self._session_end:
            self._session_end = float("inf")
            self._dialogue.too_old()
            self._restart_clock()
        elif self._dialogue.waiting:
            say(f"the Job Controller did not answer for {CONTROLLER_PATIENCE:.0f} s")
            self._answer(LATER)
        else:
            self._dialogue.timed_out()
            self._restart_clock()

    def leave(self) -> None:
        if not self._begun:
            self.status = EX_OK
            return
        self._client.give_up()
        if self._tls.shaking:
            self._tls_lost("stopped in the TLS handshake")
            return
        if not self._greeted:
            self._greet()
        self._security.give_up("the service stops")
        self._dialogue.shut_down()


def main() -> int:
    """The console script; the exit status is of sysexits.h."""
    return run_program(NAME, "slave", WINDOW, SmtpSlave, unavailable=True)


if __name__ == "__main__":
    sys.exit(main())
