"""One client of the SMTP server: a dialogue, its stream, and what it waits for."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from channels.kit.debug import Transcript
from channels.kit.log_stream import say
from channels.kit.queries import checks_senders
from channels.tcp.entry import admits, may_connect
from channels.tcp.front_end import FrontEnd, claim
from channels.tcp.incoming import Incoming
from channels.tcp.session_times import SessionTimes
from channels.tcp.stream import FULL, LEFT, Stream
from jobctl.mail.reply import Reply
from jobctl.mail.transportinfo import TransportInfo
from jobctl.sasl.secrets import ScramKeys
from jobctl.smtp.questions import (
    Authenticated,
    BadCommand,
    Dropped,
    Expand,
    Finished,
    Hello,
    KeysWanted,
    PasswordGiven,
    Piece,
    Private,
    Proxied,
    RecipientGiven,
    Refusal,
    RunQueue,
    Sender,
    StartTls,
    TokenGiven,
    Verify,
)
from jobctl.smtp.server import ServerDialogue

if TYPE_CHECKING:
    from channels.kit.transfer import Transfer
    from channels.tcp.server import Server
    from channels.tcp.source_view import SourceView
    from jobctl.config.settings import ChannelSettings

# What a client may send ahead while the controller has a question of ours.
_AHEAD = 128 * 1024

_OK = Reply(250)


class Session:
    """
    Join one :class:`ServerDialogue` to its stream and to the controller.

    :ivar front: Its front end, until it has said whose connection it is; ``times``: what ends it in time.
    :ivar touched: The server's clock when the client last said something.
    :ivar transport: ``TCP|us|port|client|port``.
    :ivar admitted: It was let in, and the controller told of it.
    :ivar counted: The address whose connection it counts as.
    :ivar transfer: What is known of the message coming in, where it may come again; ``gone``: the client is.
    :ivar came_by: By which channel before TLS and AUTH led to another.
    :ivar site: What PORT_ACCESS has the log say of it.
    """

    def __init__(self, server: Server, skt: socket.socket, client: str, transport: str) -> None:
        self.server = server
        self.client = client
        self.transport = transport
        self.opened = self.touched = server.now
        self.closing_since: float | None = None
        self.submission: str | None = None
        self.transfer: Transfer | None = None
        self.counted = self.site = ""
        self.admitted = False
        self.times = SessionTimes(self)
        self._incoming = Incoming(self)
        self._ahead = 0
        self._paused = False
        self._early = b""
        self._locating: Callable[[bool], None] | None = None
        self._purging: Any = None
        self._purge_delay = 0.0
        self.gone = False
        self._transcript: Transcript | None = None
        self.front: FrontEnd | None = None
        self.view = self.came_by = server.start
        self.dialogue = ServerDialogue(server.config_for(self.view, client), time.time, "SMTP", client)
        self.stream = Stream(server.reactor, skt, self, self.flush)
        if self.view.channel.slave_debug:
            self._show()

    def begin(self) -> None:
        """Greet the client, or hear from its front end who it is."""
        if self.client in self.server.admission.front_ends:
            self.front = FrontEnd(self)
        elif admits(self):
            self._open()

    def _open(self) -> None:
        permission = may_connect(self)
        if permission.refusal is not None:
            return
        self._purge_delay = permission.delay / 100 or self.server.purge_delay
        self.locate(self._let_in)

    def locate(self, then: Callable[[bool], None]) -> None:
        """Find out by which channel the client comes in; ``then`` goes on, and is told whether that is later."""
        view = self.server.find_channel(self)
        if view is None:
            self._locating = then
            self.stream.pause()
            return
        if view is not self.view:
            self.switch(view)
        then(False)

    def located(self, view: SourceView) -> None:
        """The client comes in by this channel (``switchchannel``)."""
        then, self._locating = self._locating, None
        if then is None or self.gone or self.dialogue.closing:
            return
        self.switch(view)
        self.touched = self.server.now
        if not self._paused:
            self.stream.resume()
        then(True)
        early, self._early = self._early, b""
        if early:
            self.stream.take(early)

    def switch(self, view: SourceView) -> None:
        """From now on it comes in by this channel, whoever it is by now."""
        if view is not self.view and view.channel.slave_debug and self._transcript is None:
            self._show()
        if view is not self.view and self._transcript is not None:
            self._transcript.note(f"source channel {view.channel.name}")
        self.view = view
        self.dialogue.reconfigure(self.server.config_for(view, self.client, self.dialogue.user))
        if self.admitted:
            self.server.look_up(self)

    def _show(self) -> None:
        """The log gets the dialogue (``slave_debug``)."""
        self._transcript = Transcript(False, lambda line: say(f"{self.client} {line}"))
        if self.server.trace_level:
            from channels.kit.trace import Trace

            self.stream.trace = Trace(self.server.trace_level, False, self._transcript.note)

    def _let_in(self, later: bool) -> None:
        self.came_by = self.view
        self.server.opened(self)
        if self.server.security.implicit:
            self.stream.start_tls(self.server.security.session())
        else:
            self._welcome()

    def _welcome(self) -> None:
        if self._purge_delay:
            self._purging = self.server.reactor.callLater(self._purge_delay, self._greet)
        else:
            self._greet()

    def stream_secured(self) -> None:
        """The TLS handshake is over; the first words are still to be said where it began at once."""
        self.touched = self.server.now
        tls = self.stream.tls
        assert tls is not None
        user = self.server.security.user_of(tls)
        self.dialogue.secured(tls.info, tls.binding, user)
        # What AUTH in the clear had led to counts no more (RFC 3207 section 4.2).
        self.switch(self.view_of(self.server.sources.secured(self.came_by.channel)))
        if user is not None:
            self.switch(self.view_of(self.server.sources.authenticated(self.view.channel)))
        if self._transcript is not None:
            self._transcript.note(f"TLS: {tls.info}{f', certificate of {user}' if user else ''}")
        if self.server.security.implicit:
            self._welcome()

    def _greet(self) -> None:
        self._purging = None
        self.dialogue.connected()
        self.flush()

    def introduced(self, rest: bytes) -> None:
        """
        The front end has said whose connection it is.

        :param rest: What that client has said already.
        """
        self.front = None
        if self.gone or not admits(self):
            return
        self._open()
        if self._locating is not None:
            self._early = rest
        elif rest:
            self.stream.take(rest)

    def become(self, told: TransportInfo) -> None:
        """The client is another than the one at the other end of the connection."""
        self.client, self.transport = told.remote_ip, told.text
        self.view = self.server.start
        self.dialogue.reconfigure(self.server.config_for(self.view, self.client, self.dialogue.user))

    def data_received(self, data: bytes) -> None:
        if self.front is not None:
            self.front.take(data)
            return
        if self._purging is not None:
            return  # BANNER_PURGE_DELAY: whoever talks before the banner is not heard
        self.touched = self.server.now
        dialogue = self.dialogue
        if self._transcript is not None:
            self._transcript.commands(data)
        dialogue.receive(data)
        self.serve()
        self._incoming.look(dialogue.receiving)
        if dialogue.waiting:
            self._ahead += len(data)
            if self._ahead > _AHEAD:
                self._pause()

    def serve(self) -> None:
        """Take what the dialogue asks until it waits for the controller or the client."""
        dialogue = self.dialogue
        while (question := dialogue.next_question()) is not None:
            _TAKE[type(question)](self, question)
        self.flush()

    def answer(self, reply: Reply) -> None:
        """The answer to the open question; the client may go on."""
        if self.gone:
            return
        self.submission = None
        self.dialogue.answer(reply)
        self.go_on()

    def go_on(self) -> None:
        """The client may: what it was waiting for has been answered."""
        self.touched = self.server.now
        self._ahead = 0
        self._incoming.look(self.dialogue.receiving)
        self.serve()
        if self._paused:
            self.resume()

    def resume(self) -> None:
        """Read again if nothing speaks against it any more."""
        if self._paused and not (
            (self.dialogue.waiting and self._ahead > _AHEAD)
            or self.server.link.full
            or self.stream.unsent > FULL
        ):
            self._paused = False
            self.stream.resume()

    def shut_down(self) -> None:
        """421 as soon as the dialogue allows."""
        self.end(self.dialogue.shut_down)

    def end(self, how: Callable[[], None]) -> None:
        """Have the dialogue end the session, or end it where there is none yet."""
        if self._purging is not None or (self._locating is not None and not self.dialogue.waiting):
            self.stream.abort()
            return
        how()
        self.serve()

    def stream_drained(self) -> None:
        self.resume()

    def stream_lost(self, why: str) -> None:
        self.gone = True
        if self._purging is not None:
            self._purging.cancel()
        if self.submission is not None and not self.dialogue.waiting:
            self.server.abandon(self)
        elif self.submission is None:
            self.server.tell_aborted(self, why)
        self.server.session_ended(self, why)

    def flush(self) -> None:
        """Send what the dialogue has to say; when it has said all, also to who says nothing more itself, close."""
        dialogue = self.dialogue
        out = dialogue.take_output()
        if out:
            if self._transcript is not None:
                self._transcript.replies(out)
            self.stream.write(out)
            if self.stream.unsent > FULL:
                self._pause()
        left = self.stream.ended and not dialogue.waiting
        if (dialogue.closing or left) and self.closing_since is None:
            self.closing_since = self.server.now
            self.stream.close("closed" if dialogue.closing else LEFT)

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self.stream.pause()

    # What the dialogue asks or tells.

    def _piece(self, question: Piece) -> None:
        self._incoming.piece(question)
        if self.server.link.full:
            self.server.held_back.add(self)
            self._pause()

    def _start_tls(self, question: StartTls) -> None:
        self.flush()
        self.stream.start_tls(self.server.security.session())

    def _authenticated(self, question: Authenticated) -> None:
        self.server.note_user(self, question)
        self.switch(self.view_of(self.server.sources.authenticated(self.view.channel)))

    def view_of(self, channel: ChannelSettings) -> SourceView:
        """What holds for who comes in by a channel."""
        return self.server.view(channel.name)

    def answer_claim(self, reply: Reply, user: str) -> None:
        """The answer to a claim, which 235 says is that of ``user``."""
        if self.gone:
            return
        if reply.code == 235:
            self.dialogue.identify(user)
        self.answer(reply)

    def answer_keys(self, keys: ScramKeys | None) -> None:
        """The answer to :class:`KeysWanted`."""
        if not self.gone:
            self.dialogue.answer_keys(keys)
            self.serve()

    def _sender(self, question: Sender) -> None:
        reply = self.server.sender_reply(self, question.address)
        if reply.code == 250 and checks_senders(self.dialogue.config.channel):
            self.server.senders.check(self, question.address)
        else:
            self.dialogue.answer(reply)

    def _yes(self, question: Any) -> None:
        self.dialogue.answer(_OK)


_TAKE: dict[type, Any] = {
    Hello: Session._yes,
    Sender: Session._sender,
    RecipientGiven: lambda session, question: session.server.route(
        session, question.recipient, question.sender
    ),
    Piece: Session._piece,
    Finished: lambda session, question: session._incoming.finished(question),
    Dropped: lambda session, question: session._incoming.dropped(),
    Verify: lambda session, question: session.server.query(session, question),
    Expand: lambda session, question: session.server.query(session, question),
    RunQueue: lambda session, question: session.server.query(session, question),
    Private: lambda session, question: session.server.query(session, question),
    StartTls: Session._start_tls,
    Authenticated: Session._authenticated,
    Proxied: lambda session, question: claim(session, question.attributes),
    PasswordGiven: lambda session, question: session.server.security.check(session, question),
    TokenGiven: lambda session, question: session.server.security.check(session, question),
    KeysWanted: lambda session, question: session.server.security.find_keys(session, question),
    BadCommand: lambda session, question: session.server.note(session, question),
    Refusal: lambda session, question: session.server.note(session, question),
}
