"""The SMTP server of one job: its listeners, its sessions, and its talk with the controller."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import Any

import msgspec

import jobctl
from channels.kit.events import aborted, noted, told
from channels.kit.log_stream import say
from channels.kit.reactor_link import ReactorLink
from channels.kit.source_channels import SourceChannels
from channels.kit.startup import EX_CONFIG, EX_OK, EX_TEMPFAIL, CannotStart
from channels.tcp.admission import Admission, client_of, transport_of
from channels.tcp.capacity import room_for
from channels.tcp.client_channels import ClientChannels
from channels.tcp.process import Process
from channels.tcp.security import Security
from channels.tcp.senders import SenderDomains
from channels.tcp.session import Session
from channels.tcp.source_view import SourceView, source_view
from channels.tcp.stream import Listener
from channels.tcp.submissions import Submissions
from channels.tcp.verdicts import Verdicts
from jobctl.config.settings import ChannelSettings, MtaSettings, ServiceSettings
from jobctl.jobprotocol.frames import (
    Accepted,
    Event,
    HelloController,
    Located,
    Look,
    Refused,
    Stop,
    VerdictFrame,
    Work,
)
from jobctl.mail.envelope import Envelope, Recipient, Source
from jobctl.mail.reply import Reply
from jobctl.net.client_names import ClientNames
from jobctl.net.resolver import Resolver
from jobctl.smtp.questions import Authenticated, BadCommand, Expand, Private, Refusal, RunQueue, Verify
from jobctl.smtp.replies import encode
from jobctl.smtp.server_config import ServerConfig

# Sessions that are in the middle of a message when the job is told to stop may go on this long.
STOP_PATIENCE = 25.0
# After the controller has gone nothing can be accepted: long enough to say so.
_LOST_PATIENCE = 2.0
_UNAVAILABLE = Reply(421, "4.3.2 Service shutting down, try again later.")


class Server:
    """
    Everything of a server job but the octets; the controller speaks to it through the link.

    :ivar now: A steady clock in seconds, as coarse as the sweep.
    """

    def __init__(self, process: Process) -> None:
        self.reactor = process.reactor
        self._process = process
        self.now = time.monotonic()
        self.sessions: set[Session] = set()
        self.held_back: set[Session] = set()
        self.trace_level = 0
        self.start: SourceView
        self.sources: SourceChannels
        self._views: dict[str, SourceView] = {}
        self.purge_delay = 0.0
        self.session_time: float | None = None
        self.reply_time = self.longest_close = 30.0
        self.max_received = 50
        self._submissions = Submissions(process)
        self._verdicts = Verdicts(process)
        self._listeners: list[Listener] = []
        self._names: ClientNames | None = None
        self._client_channels: ClientChannels | None = None
        self._stopping: int | None = None
        self._retiring = False

    @property
    def link(self) -> ReactorLink:
        return self._process.link

    # The controller's side.

    def link_frame(self, frame: Any, content: bytes) -> None:
        if type(frame) is Accepted:
            self._submissions.accepted(frame)
        elif type(frame) is Refused:
            self._submissions.refused(frame)
        elif type(frame) is VerdictFrame:
            self._verdicts.heard(frame, self.now)
        elif type(frame) is Located:
            if self._client_channels is not None:
                self._client_channels.heard(frame, self.now)
        elif type(frame) is HelloController:
            self._start(frame)
        elif type(frame) is Look:
            self.link.tell(
                Work(
                    phase=session.dialogue.doing,
                    remote=session.client,
                    seconds=round(self.now - session.opened, 1),
                )
                for session in self.sessions
            )
        elif type(frame) is Stop:
            if frame.sessions:
                self._retire()
            else:
                self._stop(EX_OK, STOP_PATIENCE)

    def link_batch_done(self) -> None:
        pass

    def link_drained(self) -> None:
        waiting, self.held_back = self.held_back, set()
        for session in waiting:
            session.resume()

    def link_lost(self, why: str) -> None:
        self._stop(EX_TEMPFAIL, _LOST_PATIENCE)
        for session in self._submissions.give_up() + self._verdicts.give_up():
            if session.dialogue.waiting:
                session.answer(_UNAVAILABLE)

    def connections(self) -> int:
        return len(self.sessions)

    def _start(self, hello: HelloController) -> None:
        try:
            channel = self._process.channel(hello)
            service = msgspec.convert(
                hello.service or {"name": "", "listen": [], "channel": channel.name}, ServiceSettings
            )
            mta = msgspec.convert(hello.mta or {}, MtaSettings)
            self.admission = Admission(service, mta)
            resolver = Resolver(self.reactor, channel.nameservers)
            self.sources = sources = SourceChannels(channel, hello)
            self.security = Security(self.reactor, sources.offers, service)
            self._views = {
                name: source_view(one, service, mta, self.admission, self.security)
                for name, one in sources.by_name.items()
            }
            self.start = self._views[channel.name]
            self.max_received = mta.max_received_lines
            self._configure(channel, service)
            if sources.chosen_by_name or any(view.names_client for view in self._views.values()):
                self._names = ClientNames(self.reactor, resolver, channel)
            if sources.chosen_by_clients:
                names = self._names if sources.chosen_by_name else None
                self._client_channels = ClientChannels(self._process, channel.name, names)
            self.senders = SenderDomains(resolver, mta.blocked_mail_from_ips)
            self._listen(hello.listen)
        except CannotStart as why:
            self._process.end(why.status, why.text)
            return
        except (ValueError, OSError) as why:
            self._process.end(EX_CONFIG, str(why))
            return
        self._process.greet()
        self.reactor.callLater(self._interval, self._sweep)

    def _configure(self, channel: ChannelSettings, service: ServiceSettings) -> None:
        options = channel.options
        self._most = room_for(service.max_conns)
        if self._most < service.max_conns:
            say(f"descriptors suffice for {self._most} connections, not for max_conns = {service.max_conns}")
        self._submissions.product = options.custom_version_string or f"jobctl {jobctl.__version__}"
        self.trace_level = options.trace_level
        self.purge_delay = options.banner_purge_delay / 100
        self.session_time = None if options.session_time is None else options.seconds("session_time")
        self.reply_time = options.seconds("status_transmit_time")
        self.longest_close = min(30.0, self.reply_time)
        times = [
            options.seconds("command_receive_time"),
            options.seconds("data_receive_time"),
            self.longest_close,
        ]
        # Twice within the shortest time that is waited for, and once a second at most.
        self._interval = max(0.02, min(1.0, min(times) / 2))

    def _listen(self, descriptors: tuple[int, ...]) -> None:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
            self._listeners.append(Listener(self.reactor, socket.socket(fileno=descriptor), self._accepted))

    def _retire(self) -> None:
        """Others take over the port; whoever is here already is served to the end."""
        self._retiring = True
        for listener in self._listeners:
            listener.close()
        if not self.sessions:
            self._end()

    def _stop(self, status: int, patience: float) -> None:
        if self._stopping is not None:
            self._stopping = max(self._stopping, status)
            return
        self._stopping = status
        for listener in self._listeners:
            listener.close()
        for session in list(self.sessions):
            session.shut_down()
        self.reactor.callLater(patience, self._end)
        if not self.sessions:
            self._end()

    def _end(self) -> None:
        for session in list(self.sessions):
            session.stream.abort()
        self._process.end(self._stopping or EX_OK)

    # The clients' side.

    def config_for(self, view: SourceView, client: str, user: str | None = None) -> ServerConfig:
        """Whoever may relay is not asked about recipients: they are welcome."""
        config = view.trusting if user is not None or client in self.admission.relay else view.asking
        return (
            msgspec.structs.replace(config, xclient=True)
            if client in self.admission.impersonators
            else config
        )

    def view(self, channel: str) -> SourceView:
        """What holds for a channel that clients come in by."""
        return self._views[channel]

    def find_channel(self, session: Session) -> SourceView | None:
        """By which channel a client comes in; ``None``: its session will be told."""
        if self._client_channels is None or not session.client:
            return self.start
        known = self._client_channels.find(
            session.client, self.now, lambda name: session.located(self.view(name))
        )
        return None if known is None else self.view(known)

    def opened(self, session: Session) -> None:
        """A client is let in, by the channel that the session now has."""
        self.look_up(session)
        session.admitted = True
        self.tell(session, "opened")

    def reject(self, session: Session, why: str) -> None:
        """A connection of no use is closed."""
        self.link.send(Event(event="rejected", transport=session.transport, text=why))

    def look_up(self, session: Session) -> None:
        """Find a client's name, in the background, where its channel wants it."""
        if self._names is not None and session.view.names_client and session.client:
            self._names.look_up(session.client)

    def note_user(self, session: Session, who: Authenticated) -> None:
        """A client has proved who it is."""
        self.security.succeeded(session)
        self.tell(session, "auth", text=f"235 2.7.0 {who.mechanism}", user=who.user)

    def tell_aborted(self, session: Session, why: str) -> None:
        """A client went away in the midst of a message."""
        for event in aborted(session.dialogue, session.transport, why):
            self.link.send(event)

    def tell(self, session: Session, event: str, **more: str) -> None:
        """The controller counts connections, and knows what of them is logged."""
        self.link.send(told(session.dialogue, session.transport, event, **more))

    def _accepted(self, skt: socket.socket, peer: Any) -> None:
        if len(self.sessions) >= self._most or self._stopping is not None:
            if not self.security.implicit:
                name = self.start.asking.name
                with contextlib.suppress(OSError):
                    skt.send(encode(Reply(421, f"4.3.2 {name} too many connections, try again later.")))
            skt.close()
            self.link.send(
                Event(event="rejected", transport=transport_of(None, peer), text="too many connections")
            )
            return
        try:
            own = skt.getsockname()
        except OSError:
            skt.close()
            return
        self.now = time.monotonic()
        session = Session(self, skt, client_of(peer), transport_of(own, peer))
        self.sessions.add(session)
        session.begin()

    def session_ended(self, session: Session, why: str) -> None:
        self.sessions.discard(session)
        self.admission.counts.forget(session.counted)
        self.held_back.discard(session)
        self.link.progress += 1
        if session.admitted:
            dialogue = session.dialogue
            event = "cut" if dialogue.cut else "closed"
            self.tell(session, event, text=dialogue.close_reason or why, site=session.site)
        if (self._retiring or self._stopping is not None) and not self.sessions:
            self._end()

    def route(self, session: Session, recipient: Recipient, sender: str) -> None:
        """May this recipient come in?  The session is answered now or when the controller has spoken."""
        self._verdicts.ask(session, recipient, sender, self._source(session), self.now)

    def query(self, session: Session, question: Verify | Expand | RunQueue | Private) -> None:
        """VRFY, EXPN, ETRN or a private command: the session is answered when the controller has spoken."""
        self._verdicts.query(session, question, self._source(session))

    def submit(self, session: Session, envelope: Envelope, data: bytes, more: bool) -> Reply | None:
        """The first octets of a message; or why it is not taken."""
        named = self._names is not None and session.view.names_client
        rdns = self._names.name(session.client) if named and self._names is not None else None
        return self._submissions.begin(session, self._source(session), envelope, data, more, rdns)

    def continue_submission(self, session: Session, data: bytes, more: bool) -> None:
        """The next octets of a message that does not fit one frame."""
        self._submissions.go_on(session, data, more)

    def abandon(self, session: Session) -> None:
        """The rest of the message will never come."""
        self._submissions.abandon(session)

    def sender_reply(self, session: Session, sender: str) -> Reply:
        """What FROM_ACCESS says of a sender."""
        return self.admission.sender(self._source(session), sender)

    def note(self, session: Session, what: BadCommand | Refusal) -> None:
        """Something the log may want: a command that was none, or mail that was refused."""
        if isinstance(what, BadCommand) and what.reply.code == 535 and what.line.startswith("AUTH SCRAM"):
            self.security.failed(session)
        # Failed AUTHs are counted, refused mail too; whatever else is for the log alone.
        logged = session.view.channel.logging
        if logged or isinstance(what, Refusal) or what.line.startswith("AUTH"):
            self.link.send(noted(session.dialogue, session.transport, what))

    def _source(self, session: Session) -> Source:
        return Source(
            channel=session.view.channel.name,
            transport=session.transport,
            application=session.dialogue.application,
            user=session.dialogue.user,
            modifiers=session.dialogue.modifiers,
            submit_type=session.dialogue.submit_type,
        )

    def _sweep(self) -> None:
        self.now = now = time.monotonic()
        for session in list(self.sessions):
            session.times.look(now)
        if self._stopping is None or self.sessions:
            self.reactor.callLater(self._interval, self._sweep)
