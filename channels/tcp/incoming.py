"""The content of a session's messages, on its way to the controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobctl.mail.envelope import Envelope
from jobctl.mail.reply import Reply
from jobctl.mail.trace import received_count
from jobctl.smtp.questions import Finished, Piece

if TYPE_CHECKING:
    from channels.tcp.session import Session

_LOOP = Reply(554, "5.4.6 Too many Received fields: the message is in a loop.")


class Incoming:
    """What the dialogue gives out of one message after the other is submitted, or refused at its end."""

    __slots__ = ("_began", "_refusal", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        # Why the message that is coming in will not be taken.
        self._refusal: Reply | None = None
        # When the content under way began to come, by the server's clock.
        self._began: float | None = None

    def look(self, receiving: bool) -> None:
        """Something has come in; whether content does."""
        if not receiving:
            self._began = None
        elif self._began is None:
            self._began = self._session.server.now

    def piece(self, question: Piece) -> None:
        """More is to come."""
        session = self._session
        if self._refusal is not None:
            return
        if session.submission is None:
            envelope = session.dialogue.envelope
            assert envelope is not None  # there is content, so there was an envelope
            self._begin(envelope, question.data, more=True)
        else:
            self._goes_on(question.data, more=True)

    def finished(self, question: Finished) -> None:
        """The rest of it, or all."""
        session = self._session
        if session.submission is not None:
            self._goes_on(question.data, more=False)
            return
        if self._refusal is None:
            self._begin(question.envelope, question.data, more=False)
        refusal, self._refusal = self._refusal, None
        if refusal is not None:
            session.dialogue.answer(refusal)

    def dropped(self) -> None:
        """The rest will never come."""
        self._refusal = self._began = self._session.transfer = None
        if self._session.submission is not None:
            self._session.server.abandon(self._session)

    def _begin(self, envelope: Envelope, data: bytes, more: bool) -> None:
        session = self._session
        if session.view.channel.options.reuse_timed_out_transfers:
            # Late: most services do not want it.
            from channels.kit.transfer import Transfer

            now = session.server.now
            began = now if self._began is None else self._began
            session.transfer = Transfer(session.client, session.dialogue.user, envelope, began)
            session.transfer.add(data)
        in_loop = self._in_loop(data, session.server.max_received)
        self._refusal = _LOOP if in_loop else session.server.submit(session, envelope, data, more)

    def _goes_on(self, data: bytes, more: bool) -> None:
        session = self._session
        if session.transfer is not None:
            session.transfer.add(data)
        session.server.continue_submission(session, data, more)

    def _in_loop(self, content: bytes, most: int) -> bool:
        end = content.find(b"\r\n\r\n")
        return received_count(content[: end + 2] if end >= 0 else content) > most
