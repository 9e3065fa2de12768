"""What a slave's dialogue asks and tells, answered here or by the Job Controller."""

import time
from collections.abc import Callable
from typing import Any

from channels.kit.arrival import Arrival, Reception
from channels.kit.events import noted, told
from channels.kit.loop import Outlet
from channels.kit.program import Run
from channels.kit.queries import UNANSWERED, checks_senders, query
from channels.kit.slave_client import SlaveClient
from channels.kit.slave_security import SlaveSecurity
from jobctl.jobprotocol.frames import Accepted, Refused, Route, Told, VerdictFrame
from jobctl.mail.envelope import Source
from jobctl.mail.reply import Reply
from jobctl.mapping.access import from_access
from jobctl.mapping.tables import Tables
from jobctl.sasl.secrets import ScramKeys
from jobctl.smtp.questions import (
    Authenticated,
    BadCommand,
    Dropped,
    Expand,
    Finished,
    KeysWanted,
    PasswordGiven,
    Piece,
    Private,
    RecipientGiven,
    Refusal,
    RunQueue,
    Sender,
    TokenGiven,
    Verify,
)
from jobctl.smtp.server import ServerDialogue

# Seconds that the controller may take to answer; the client waits longer (RFC 5321 4.5.3.2: 10 minutes).
CONTROLLER_PATIENCE = 300.0
LATER = Reply(451, "4.3.0 The message could not be stored; try again later.")

# A recipient that was welcome a moment ago still is.
_VERDICT_LIFETIME = 5.0
_MOST_VERDICTS = 1000
# Seconds that the first wrong password costs; doubled for each further one, up to four times.
_WRONG_PASSWORD = 1.0
_ANSWERS = frozenset({Accepted, Refused, VerdictFrame})

# Source, sender, recipient, ORCPT.
_Key = tuple[Source, str, str, str]


class SlaveQuestions:
    """
    The questions of one session, one at a time.

    :param wait: Told when an answer is expected from elsewhere, and for how many seconds.
    :ivar asked: Id of what the controller is asked, empty: nothing.
    :ivar delayed: What a claim is answered, after a while when it is wrong.
    :ivar arrival: A message that is coming in.
    """

    def __init__(
        self,
        run: Run,
        dialogue: ServerDialogue,
        *,
        client: SlaveClient,
        tables: Tables,
        reception: Reception,
        security: SlaveSecurity,
        wait: Callable[[float], None],
    ) -> None:
        self.asked = ""
        self.delayed: Reply | None = None
        self.arrival: Arrival | None = None
        # One that was taken, and the controller waits to hear whether the client was told.
        self._accepted = ""
        self._to_tell = ""
        self._receiving = False
        self._run = run
        self._dialogue = dialogue
        self._client = client
        self._tables = tables
        self._reception = reception
        self._security = security
        self._wait = wait
        # Of whom a yes will be remembered.
        self._recipient: _Key | None = None
        self._count = 0
        self._verdicts: dict[_Key, tuple[float, Reply]] = {}
        self._wrong_passwords = 0
        self._held_keys: list[ScramKeys | None] = []

    def take(self, question: Any) -> None:
        """Answer what can be answered now, ask the controller the rest; all but :class:`StartTls` and Proxied."""
        _ACT[type(question)](self, question)

    def answer_to(self, event: Any) -> Reply | None:
        """What a frame of the controller answers; ``None``: nothing that is asked any more."""
        kind = type(event)
        if kind not in _ANSWERS or event.id != self.asked:
            # Nothing for us, or the answer to a question that was given up.
            return None
        if kind is Accepted:
            self._accepted = event.id if event.id == self._to_tell else ""
            return Reply(250, f"2.5.0 Ok, {event.ids[0]}" if event.ids else "2.5.0 Ok.")
        reply = Reply(event.code, f"{event.status} {event.text}".strip())
        if kind is VerdictFrame and event.code == 250:
            self._remember(reply)
        return reply

    def conclude(self, outlet: Outlet, ended: bool) -> None:
        """
        Once the client should have been told that its message is taken: say whether it was.

        :param ended: It says nothing more. That is no news of one that has said QUIT.
        """
        if not self._accepted:
            return
        outlet.flush()
        dialogue = self._dialogue
        gone = bool(dialogue.close_reason) or (ended and not dialogue.closing)
        if not self._run.link_gone:
            self._run.link.send(Told(id=self._accepted, gone=gone))
        self._accepted = ""

    def look(self) -> bool:
        """Something may have come in; whether content begins or has ended with it."""
        before, self._receiving = self._receiving, self._dialogue.receiving
        self._reception.look(self._receiving)
        return self._receiving is not before

    def tell(self, event: str, **more: str) -> None:
        """The controller counts sessions, and knows what of them is logged."""
        self._run.link.send(told(self._dialogue, self._client.transport.text, event, **more))

    def _recipient_given(self, question: RecipientGiven) -> None:
        address, orcpt = question.recipient.address, question.recipient.orcpt or ""
        source = self._source()
        key = self._recipient = (source, question.sender, address, orcpt)
        known = self._verdicts.get(key)
        if known is not None and known[0] > time.monotonic():
            self._dialogue.answer(known[1])
            return
        if self._run.link_gone:
            self._dialogue.answer(LATER)
            return
        self._ask(f"r{self._count}")
        self._run.link.send(
            Route(id=self.asked, recipient=address, sender=question.sender, source=source, orcpt=orcpt)
        )

    def _claimed(self, question: PasswordGiven | TokenGiven) -> None:
        self._wait(self._security.patience)
        self._security.check(question, self._claim_decided)

    def _claim_decided(self, reply: Reply, user: str) -> None:
        seconds = 0.0
        if reply.code == 235:
            self._dialogue.identify(user)
        elif reply.code == 535:
            self._wrong_passwords += 1
            seconds = self._price
        self.delayed = reply
        self._wait(seconds)

    @property
    def _price(self) -> float:
        """Seconds that the latest wrong password costs."""
        return _WRONG_PASSWORD * (1 << min(self._wrong_passwords - 1, 4))

    def _keys_wanted(self, question: KeysWanted) -> None:
        keys = self._security.keys(question.user)
        if self._wrong_passwords:
            # SCRAM is decided by the dialogue, at once: whoever has guessed wrong waits for the next try.
            self._held_keys = [keys]
            self._wait(self._price)
        else:
            self._dialogue.answer_keys(keys)

    def hand_over_keys(self) -> bool:
        """Answer :class:`KeysWanted` late; ``False``: nobody waits for that."""
        held, self._held_keys = self._held_keys, []
        for keys in held:
            self._dialogue.answer_keys(keys)
        return bool(held)

    def _authenticated(self, question: Authenticated) -> None:
        self.tell("auth", text=f"235 2.7.0 {question.mechanism}", user=question.user)

    def _sender_given(self, question: Sender) -> None:
        refusal = from_access(self._tables, self._source(), question.address).refusal
        if refusal is None and checks_senders(self._dialogue.config.channel):
            self._query(question)
        else:
            self._dialogue.answer(refusal or Reply(250))

    def _remember(self, reply: Reply) -> None:
        """Only a yes is kept: whoever was refused may be welcome after the next change."""
        if self._recipient is None:
            return
        if len(self._verdicts) >= _MOST_VERDICTS:
            self._verdicts.clear()
        self._verdicts[self._recipient] = (time.monotonic() + _VERDICT_LIFETIME, reply)

    def _ask(self, id: str) -> None:
        self._count += 1
        self.asked = id
        self._wait(CONTROLLER_PATIENCE)

    def _piece(self, question: Piece) -> None:
        if self.arrival is None:
            self.arrival = self._arrive(question.data, whole=False)
        else:
            self.arrival.add(question.data, last=False)

    def _finished(self, question: Finished) -> None:
        arrival, self.arrival = self.arrival, None
        if arrival is None:
            arrival = self._arrive(question.data, whole=True)
        else:
            arrival.add(question.data, last=True)
        if arrival.refusal is not None:
            self._dialogue.answer(arrival.refusal)
        elif self._run.link_gone:
            self._dialogue.answer(LATER)
        else:
            self._to_tell = arrival.id if arrival.transfer is not None else ""
            self._ask(arrival.id)

    def _dropped(self, question: Dropped) -> None:
        if self.arrival is not None:
            self.arrival.drop()
            self.arrival = None

    def _arrive(self, data: bytes, whole: bool) -> Arrival:
        dialogue = self._dialogue
        assert dialogue.envelope is not None
        return self._reception.begin(
            dialogue.config.channel,
            dialogue.envelope,
            self._source(),
            dialogue.helo,
            dialogue.protocol,
            self._client.shown(dialogue.config.channel),
            data,
            whole,
        )

    def _source(self) -> Source:
        return Source(
            channel=self._dialogue.config.channel.name,
            transport=self._client.transport.text,
            application=self._dialogue.application,
            user=self._dialogue.user,
            modifiers=self._dialogue.modifiers,
            submit_type=self._dialogue.submit_type,
        )

    def _query(self, question: Verify | Expand | RunQueue | Sender | Private) -> None:
        if self._run.link_gone:
            self._dialogue.answer(UNANSWERED)
            return
        self._recipient = None
        self._ask(f"q{self._count}")
        self._run.link.send(query(self.asked, question, self._source()))

    def _note(self, what: BadCommand | Refusal) -> None:
        if isinstance(what, BadCommand) and what.reply.code == 535 and what.line.startswith("AUTH SCRAM"):
            self._wrong_passwords += 1
        self._run.link.send(noted(self._dialogue, self._client.transport.text, what))


_ACT: dict[type, Any] = {
    Authenticated: SlaveQuestions._authenticated,
    PasswordGiven: SlaveQuestions._claimed,
    TokenGiven: SlaveQuestions._claimed,
    KeysWanted: SlaveQuestions._keys_wanted,
    Sender: SlaveQuestions._sender_given,
    RecipientGiven: SlaveQuestions._recipient_given,
    Piece: SlaveQuestions._piece,
    Finished: SlaveQuestions._finished,
    Dropped: SlaveQuestions._dropped,
    Verify: SlaveQuestions._query,
    Expand: SlaveQuestions._query,
    RunQueue: SlaveQuestions._query,
    Private: SlaveQuestions._query,
    BadCommand: SlaveQuestions._note,
    Refusal: SlaveQuestions._note,
}
