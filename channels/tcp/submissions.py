"""Messages on their way from the sessions of a server job to the controller."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jobctl.jobprotocol.frames import PIECE, Accepted, Refused, Submit, Told
from jobctl.mail.envelope import Envelope, Source
from jobctl.mail.reply import Reply
from jobctl.mail.trace import new_envelope_id, received_field
from jobctl.mail.transportinfo import TransportInfo

if TYPE_CHECKING:
    from channels.tcp.process import Process
    from channels.tcp.session import Session
    from jobctl.config.settings import ChannelSettings


class Submissions:
    """:ivar product: In the comment of Received fields."""

    def __init__(self, process: Process) -> None:
        self.product = ""
        self._process = process
        self._waiting: dict[str, Session] = {}
        # Of them those of which is to be said whether their client was told.
        self._to_tell: set[str] = set()
        self._count = 0

    def begin(
        self,
        session: Session,
        source: Source,
        envelope: Envelope,
        data: bytes,
        more: bool,
        rdns: str | None,
    ) -> Reply | None:
        """The first octets of a message, our Received field before them; or why nothing is sent."""
        when = time.time()
        view = session.view
        channel = view.channel
        envelope_id = new_envelope_id(when, view.by)
        recipients = envelope.recipients
        dialogue = session.dialogue
        added = b""
        if channel.submit or channel.authrewrite:
            made = self._fixed(channel, envelope, dialogue.user, data, not more, when, envelope_id)
            if isinstance(made, Reply):
                return made
            added, data = made
        field = received_field(
            helo=dialogue.helo,
            transport=TransportInfo.parse(session.transport)[0] if view.shows_address else None,
            by=view.by,
            protocol=dialogue.protocol,
            envelope_id=envelope_id,
            recipient=recipients[0].address if len(recipients) == 1 and channel.receivedfor else None,
            sender=envelope.sender if channel.receivedfrom else None,
            when=when,
            product=self.product,
            rdns=rdns,
        )
        if added:
            field += added
        link = self._process.link
        self._count += 1
        id = session.submission = str(self._count)
        frame = Submit(
            id=id,
            envelope=envelope,
            source=source,
            octets=0 if more else len(field) + len(data),
            envelope_id=envelope_id,
            more=True,
        )
        self._waiting[id] = session
        last = frame if len(field) + len(data) <= PIECE else Submit(id=id)
        if not more:
            self._mark(session, last)
        if len(field) + len(data) <= PIECE:
            frame.more = more
            link.send(frame, field + data)
        else:
            link.send(frame, field)
            last.more = more
            link.send(last, data)
        link.progress += 1
        return None

    def _mark(self, session: Session, last: Submit) -> None:
        """The last frame of a message says by what it is known, where it may come again."""
        transfer, session.transfer = session.transfer, None
        if transfer is not None:
            last.digest, last.seconds = transfer.finished(session.server.now)
            self._to_tell.add(last.id)

    def _fixed(
        self,
        channel: ChannelSettings,
        envelope: Envelope,
        user: str | None,
        data: bytes,
        whole: bool,
        when: float,
        envelope_id: str,
    ) -> tuple[bytes, bytes] | Reply:
        # Late: most services take no submissions.
        from channels.kit.fix_ups import fixed, wants_fixing

        if not wants_fixing(channel, user):
            return b"", data
        return fixed(channel, envelope, user, data, whole, when, envelope_id)

    def go_on(self, session: Session, data: bytes, more: bool) -> None:
        """The next octets of a message that does not fit one frame."""
        assert session.submission is not None
        link = self._process.link
        frame = Submit(id=session.submission, more=more)
        if not more:
            self._mark(session, frame)
        link.send(frame, data)
        link.progress += 1

    def abandon(self, session: Session) -> None:
        """The rest of the message will never come."""
        assert session.submission is not None
        if self._waiting.pop(session.submission, None) is not None:
            self._process.link.send(Submit(id=session.submission, abort=True))
        session.submission = None

    def accepted(self, frame: Accepted) -> None:
        """The controller has it for good."""
        session = self._waiting.pop(frame.id, None)
        if session is not None:
            gone = session.gone
            session.answer(Reply(250, f"2.5.0 Ok, {frame.ids[0]}" if frame.ids else "2.5.0 Ok."))
            if frame.id in self._to_tell:
                self._to_tell.discard(frame.id)
                # Who says nothing more may have left, and nothing tells so; but not who has said QUIT.
                gone = (
                    gone or session.stream.broken or (session.stream.ended and not session.dialogue.closing)
                )
                self._process.link.send(Told(id=frame.id, gone=gone))

    def refused(self, frame: Refused) -> None:
        """The controller does not take it."""
        session = self._waiting.pop(frame.id, None)
        self._to_tell.discard(frame.id)
        if session is not None:
            session.answer(Reply(frame.code, f"{frame.status} {frame.text}"))

    def give_up(self) -> list[Session]:
        """The controller is gone: who waits for it."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        return waiting
