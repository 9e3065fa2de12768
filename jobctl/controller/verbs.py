"""What each verb of an operator means for one entry."""

from collections.abc import Awaitable
from typing import Any

import msgspec

from jobctl.control.operations import Caller
from jobctl.controller.notices import NOTHING
from jobctl.controller.steering import Change
from jobctl.errors import UsageError
from jobctl.mail.entry import Attempt, Lasting, Loss, Settlement, StoredEntry, Undo
from jobctl.mail.envelope import Priority

# Entries changed at a time.  More would be done sooner; mail that comes in meanwhile would wait longer for its own
# commit.  Fewer where content may be read for each.
TOGETHER = 100
WITH_CONTENT = 50


class Grace(msgspec.Struct, frozen=True):
    """
    For how long an act can be undone.

    :ivar operation: The act's number.
    :ivar window: Seconds; 0: it cannot.
    """

    operation: int
    window: float


class Verb(msgspec.Struct, frozen=True):
    """
    One act, ready for any number of entries.

    :ivar what: Its name; ``done``: what was done then, for log and history.
    :ivar text: To where, or why, for the record.
    :ivar held: Which messages a whole channel or a selector means: ``True`` only held ones, ``False``
        only others, ``None`` both.
    :ivar first: What is changed goes before all others; not where many are changed.
    :ivar window: Seconds in which it can be undone, 0: it cannot.
    :ivar together: Entries changed at a time.
    """

    what: str
    done: str
    change: Any
    text: str = ""
    held: bool | None = None
    first: bool = False
    window: float = 0.0
    together: int = TOGETHER

    def change_for(self, operation: int) -> Change:
        """:param operation: The act's number."""
        grace = Grace(operation, self.window)
        return lambda stored: self.change(stored, grace)


class Verbs:
    """Makes verbs of requests, for one controller."""

    def __init__(self, controller: Any) -> None:
        self._at = controller

    def _now(self) -> float:
        return float(self._at.reactor.seconds())

    def hold(self, reason: str, caller: Caller) -> Verb:
        """Set aside until released."""
        reason = reason or f"by {caller.name}"

        def change(stored: StoredEntry, grace: Grace) -> Settlement | str:
            if stored.state is Lasting.HELD:
                return "it is held already"
            line = Attempt(when=self._now(), what="held", text=reason)
            return Settlement(id=stored.entry.id, state=Lasting.HELD, reason=reason, history=(line,))

        return Verb("hold", "held", change, reason, held=False)

    def release(self, caller: Caller) -> Verb:
        """Undo a hold."""

        def change(stored: StoredEntry, grace: Grace) -> Settlement | str:
            if stored.state is not Lasting.HELD:
                return "it is not held"
            now = self._now()
            line = Attempt(when=now, what="released", text=f"by {caller.name}")
            return Settlement(
                id=stored.entry.id, state=Lasting.QUEUED, reason="", due=now, deaths=0, history=(line,)
            )

        return Verb("release", "released", change, held=True, first=True)

    def retry(self, caller: Caller) -> Verb:
        """Try now what waits for its next attempt."""

        def change(stored: StoredEntry, grace: Grace) -> Settlement | str:
            if stored.state is Lasting.HELD:
                return "it is held; release it instead"
            now = self._now()
            line = Attempt(when=now, what="retried", text=f"by {caller.name}")
            return Settlement(id=stored.entry.id, due=min(now, stored.entry.due), history=(line,))

        return Verb("retry", "tried now", change, held=False, first=True)

    def priority(self, name: str, caller: Caller) -> Verb:
        """:raises UsageError: There is no such priority."""
        try:
            priority = Priority.named(name)
        except KeyError:
            words = ", ".join(priority.word for priority in Priority)
            raise UsageError(f"there is no priority {name}; there are {words}") from None

        def change(stored: StoredEntry, grace: Grace) -> Settlement | None:
            if stored.entry.priority is priority:
                return None
            old = stored.entry.priority.word
            line = Attempt(self._now(), "priority", f"{priority.word}, was {old}, by {caller.name}")
            return Settlement(id=stored.entry.id, priority=priority, history=(line,))

        return Verb("priority", f"made {priority.word}", change, priority.word)

    def delete(self, window: float, caller: Caller) -> Verb:
        """Remove it; nobody is told."""

        def change(stored: StoredEntry, grace: Grace) -> Settlement:
            if grace.window:
                return self._into_grace(stored, grace, "delete", f"by {caller.name}", caller)
            return self.deleted(stored, f"by {caller.name}")

        return Verb("delete", "deleted", change, window=window)

    def give_back(self, reason: str, window: float, caller: Caller) -> Verb:
        """Give it back to its sender as undeliverable."""
        reason = reason or "returned by the postmaster"

        def change(stored: StoredEntry, grace: Grace) -> Settlement | Awaitable[Settlement]:
            if grace.window:
                return self._into_grace(stored, grace, "return", reason, caller)
            return self.returned(stored, reason)

        together = TOGETHER if window else WITH_CONTENT
        return Verb("return", "returned", change, reason, window=window, together=together)

    def deleted(self, stored: StoredEntry, reason: str, ended: int | None = None) -> Settlement:
        """The end of a deletion."""
        losses = tuple((recipient.address, Loss.DELETED) for recipient in stored.envelope.recipients)
        return Settlement(id=stored.entry.id, losses=losses, reason=reason, ended=ended)

    async def returned(self, stored: StoredEntry, reason: str, ended: int | None = None) -> Settlement:
        """The end of a return: the sender is told."""
        told = self._at.notices.gives_up(stored)
        original = await self._at.quotes.of(stored) if told else NOTHING
        settlement: Settlement = self._at.verdicts.returned(stored, reason, self._now(), original)
        return msgspec.structs.replace(settlement, ended=ended)

    def _into_grace(
        self, stored: StoredEntry, grace: Grace, what: str, reason: str, caller: Caller
    ) -> Settlement:
        now = self._now()
        undo = Undo(grace.operation, now + grace.window, what, state=stored.state, reason=reason)
        line = Attempt(now, "deleted" if what == "delete" else "returned", f"by {caller.name}")
        return Settlement(id=stored.entry.id, state=Lasting.GRACE, undo=undo, history=(line,))
