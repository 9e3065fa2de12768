"""One client of the SMTP server: a dialogue, its stream, and what it waits for."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from channels.kit.debug import Transcript
from channels.kit.log_stream import say
from channels.kit.queries import checks_senders
from channels.tcp.stream import FULL, Stream
from jobctl.mail.reply import Reply
from jobctl.mail.trace import received_count
from jobctl.mail.transportinfo import is_address
from jobctl.net.proxy_header import read_header
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
    from channels.tcp.server import Server

# Seconds that a front end may take to say whose connection it is.
_HEADER_PATIENCE = 10.0
# What a client may send ahead while the controller has a question of ours.
_AHEAD = 128 * 1024

_LOOP = Reply(554, "5.4.6 Too many Received fields: the message is in a loop.")
_OK = Reply(250)


class Session:
    """
    Join one :class:`ServerDialogue` to its stream and to the controller.

    :ivar touched: The server's clock when the client last said something.
    :ivar transport: ``TCP|us|port|client|port``.
    :ivar admitted: It was let in, and the controller told of it.
    :ivar counted: The address whose connection it counts as.
    :ivar site: What PORT_ACCESS has the log say of it.
    """

    def __init__(self, server: Server, skt: socket.socket, client: str, transport: str) -> None:
        self.server = server
        self.client = client
        self.transport = transport
        self.opened = self.touched = server.now
        self.closing_since: float | None = None
        self.submission: str | None = None
        self.counted = self.site = ""
        self.admitted = False
        self._loop = False
        self._ahead = 0
        self._paused = False
        self._purging: Any = None
        self._purge_delay = 0.0
        self._gone = False
        self._transcript = Transcript(False, lambda line: say(f"{client} {line}")) if server.debug else None
        self._header: bytes | None = None
        self.dialogue = ServerDialogue(server.config_for(client), "SMTP", client)
        self.stream = Stream(server.reactor, skt, self)

    def begin(self) -> None:
        """Greet the client, or hear from its front end who it is."""
        if self._transcript is not None and self.server.trace_level:
            from channels.kit.trace import Trace

            self.stream.trace = Trace(self.server.trace_level, False, self._transcript.note)
        if self.client in self.server.admission.front_ends:
            self._header = b""
        elif self.server.admits(self):
            self._open()

    def _open(self) -> None:
        permission = self.server.may_connect(self)
        if permission.refusal is not None:
            return
        self._purge_delay = permission.delay / 100 or self.server.purge_delay
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
        if user is not None:
            self.dialogue.reconfigure(self.server.config_for(self.client, user))
        if self._transcript is not None:
            self._transcript.note(f"TLS: {tls.info}{f', certificate of {user}' if user else ''}")
        if self.server.security.implicit:
            self._welcome()

    def _greet(self) -> None:
        self._purging = None
        self.dialogue.connected()
        self._flush()

    def _fronted(self, data: bytes) -> None:
        """The PROXY header of a front end, and what follows it."""
        assert self._header is not None
        self._header += data
        try:
            found = read_header(self._header)
        except ValueError as why:
            self.server.reject(self, str(why))
            self.stream.abort()
            return
        if found is None:
            return
        said, taken = found
        rest, self._header = self._header[taken:], None
        if said.client:
            self.become(said.client, str(said.client_port), said.server, str(said.server_port))
        if self._gone or not self.server.admits(self):
            return
        self._open()
        if rest:
            self.stream.take(rest)

    def become(self, client: str, port: str, server: str = "", server_port: str = "") -> None:
        """The client is another than the one at the other end of the connection."""
        _, own, own_port, _, _ = self.transport.split("|")
        self.client = client
        self.transport = f"TCP|{server or own}|{server_port or own_port}|{client}|{port}"
        self.dialogue.reconfigure(self.server.config_for(client, self.dialogue.user))
        self.server.look_up(client)

    def data_received(self, data: bytes) -> None:
        if self._header is not None:
            self._fronted(data)
            return
        if self._purging is not None:
            return  # BANNER_PURGE_DELAY: whoever talks before the banner is not heard
        self.touched = self.server.now
        dialogue = self.dialogue
        if self._transcript is not None:
            self._transcript.commands(data)
        dialogue.receive(data)
        self.serve()
        if dialogue.waiting:
            self._ahead += len(data)
            if self._ahead > _AHEAD:
                self._pause()

    def serve(self) -> None:
        """Take what the dialogue asks until it waits for the controller or the client."""
        dialogue = self.dialogue
        while (question := dialogue.next_question()) is not None:
            _TAKE[type(question)](self, question)
        self._flush()

    def answer(self, reply: Reply) -> None:
        """The answer to the open question; the client may go on."""
        if self._gone:
            return
        self.submission = None
        self.touched = self.server.now
        self._ahead = 0
        self.dialogue.answer(reply)
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

    def expire(self, now: float) -> None:
        """Called each sweep: end what has lasted too long."""
        if self.closing_since is not None:
            if now - self.closing_since > self.server.longest_close:
                self.stream.abort()
        elif not self.dialogue.waiting and now - self.touched > self.dialogue.timeout():
            if self.submission is None:
                self.server.tell_aborted(self, "timeout")
            self.dialogue.timed_out()
            self._flush()
        elif self._header is not None and now - self.opened > _HEADER_PATIENCE:
            self.server.reject(self, "no PROXY header")
            self.stream.abort()
        elif self.server.session_time is not None and now - self.opened > self.server.session_time:
            self.shut_down()

    def shut_down(self) -> None:
        """421 as soon as the dialogue allows."""
        if self._purging is not None:
            self.stream.abort()
            return
        self.dialogue.shut_down()
        self.serve()

    def stream_drained(self) -> None:
        self.resume()

    def stream_lost(self, why: str) -> None:
        self._gone = True
        if self._purging is not None:
            self._purging.cancel()
        if self.submission is not None and not self.dialogue.waiting:
            self.server.abandon(self)
        elif self.submission is None:
            self.server.tell_aborted(self, why)
        self.server.session_ended(self, why)

    def _flush(self) -> None:
        dialogue = self.dialogue
        out = dialogue.take_output()
        if out:
            if self._transcript is not None:
                self._transcript.replies(out)
            self.stream.write(out)
            if self.stream.unsent > FULL:
                self._pause()
        if dialogue.closing and self.closing_since is None:
            self.closing_since = self.server.now
            self.stream.close()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self.stream.pause()

    # What the dialogue asks or tells.

    def _recipient(self, question: RecipientGiven) -> None:
        self.server.route(self, question.recipient.address, question.sender)

    def _piece(self, question: Piece) -> None:
        if self.submission is None and not self._loop:
            self._loop = self._in_loop(question.data)
            if not self._loop:
                envelope = self.dialogue.envelope
                assert envelope is not None  # there is content, so there was an envelope
                self.server.submit(self, envelope, question.data, more=True)
        elif not self._loop:
            self.server.continue_submission(self, question.data, more=True)
        if self.server.link.full:
            self.server.held_back.add(self)
            self._pause()

    def _finished(self, question: Finished) -> None:
        if self._loop or (self.submission is None and self._in_loop(question.data)):
            self._loop = False
            self.dialogue.answer(_LOOP)
        elif self.submission is not None:
            self.server.continue_submission(self, question.data, more=False)
        else:
            self.server.submit(self, question.envelope, question.data, more=False)

    def _dropped(self, question: Dropped) -> None:
        self._loop = False
        if self.submission is not None:
            self.server.abandon(self)

    def _in_loop(self, content: bytes) -> bool:
        end = content.find(b"\r\n\r\n")
        return received_count(content[: end + 2] if end >= 0 else content) > self.server.max_received

    def _query(self, question: Verify | Expand | RunQueue) -> None:
        self.server.query(self, question)

    def _start_tls(self, question: StartTls) -> None:
        self._flush()
        self.stream.start_tls(self.server.security.session())

    def _proxied(self, question: Proxied) -> None:
        said = question.attributes
        address = said.get("ADDR", "").removeprefix("IPV6:")
        if address and not is_address(address):
            self.dialogue.answer(Reply(501, "5.5.4 ADDR takes an address."))
            return
        self.dialogue.answer(Reply(220))
        self.become(
            address or self.client,
            said.get("PORT", ""),
            said.get("DESTADDR", "").removeprefix("IPV6:"),
            said.get("DESTPORT", ""),
        )

    def _authenticate(self, question: PasswordGiven | TokenGiven) -> None:
        self.server.security.check(self, question)

    def _authenticated(self, question: Authenticated) -> None:
        self.dialogue.reconfigure(self.server.config_for(self.client, question.user))
        self.server.note_user(self, question)

    def _keys(self, question: KeysWanted) -> None:
        self.server.security.find_keys(self, question)

    def answer_claim(self, reply: Reply, user: str) -> None:
        """The answer to a claim, which 235 says is that of ``user``."""
        if self._gone:
            return
        if reply.code == 235:
            self.dialogue.identify(user)
        self.answer(reply)

    def answer_keys(self, keys: ScramKeys | None) -> None:
        """The answer to :class:`KeysWanted`."""
        if not self._gone:
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

    def _note(self, question: BadCommand | Refusal) -> None:
        self.server.note(self, question)


_TAKE: dict[type, Any] = {
    Hello: Session._yes,
    Sender: Session._sender,
    RecipientGiven: Session._recipient,
    Piece: Session._piece,
    Finished: Session._finished,
    Dropped: Session._dropped,
    Verify: Session._query,
    Expand: Session._query,
    RunQueue: Session._query,
    StartTls: Session._start_tls,
    Authenticated: Session._authenticated,
    Proxied: Session._proxied,
    PasswordGiven: Session._authenticate,
    TokenGiven: Session._authenticate,
    KeysWanted: Session._keys,
    BadCommand: Session._note,
    Refusal: Session._note,
}
