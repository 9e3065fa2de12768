"""Rules by which mail that is still to come is held, as operators set them."""

from typing import Any

import msgspec
from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from jobctl.control.change_requests import HoldAdd, HoldList, HoldRemove, QmRelease
from jobctl.control.operations import Caller
from jobctl.control.refusals import unknown_hold_rule
from jobctl.controller.bulk import Bulk
from jobctl.controller.verbs import Verbs
from jobctl.errors import StoreError
from jobctl.mail.entry import Lasting, NewEntry, Submission
from jobctl.selection.candidate import arriving
from jobctl.selection.errors import SelectorError
from jobctl.selection.selector import Selector, selector

log = Logger()

TOPIC = "hold"
# Never sleep longer until a rule ends: the clock can step.
_LONGEST_SLEEP = 60.0


class HoldRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    One rule.

    :ivar number: That of the act that made it.
    :ivar since: Epoch seconds, as is ``expires``; ``None``: it stays until it is removed.
    :ivar release: When it ends, what it has held goes again.
    """

    number: int
    where: str
    reason: str
    author: str
    since: float
    expires: float | None = None
    release: bool = False

    @property
    def cause(self) -> str:
        """Why a message is held, as lists show it."""
        return f"{_mark(self.number)} ({self.author}): {self.reason}"


class HoldRules:
    """
    The rules in force, kept over restarts.

    They are asked once for each destination of a message that comes in, in the
    order in which they were made; without any nobody asks.
    """

    def __init__(self, controller: Any, bulk: Bulk, verbs: Verbs) -> None:
        self._at = controller
        self._bulk = bulk
        self._verbs = verbs
        self._rules: dict[int, tuple[HoldRule, Selector]] = {}
        self._next: IDelayedCall | None = None
        self._stopped = False

    def __bool__(self) -> bool:
        return bool(self._rules)

    async def restore(self) -> None:
        """
        Those of a former life.

        :raises StoreError: They cannot be read: then nothing must come in that they are to hold.
        """
        for key, text in (await self._at.store.remembered(TOPIC)).items():
            try:
                rule = msgspec.json.decode(text, type=HoldRule)
                self._rules[rule.number] = (rule, selector(rule.where))
            except (msgspec.MsgspecError, SelectorError) as why:
                log.critical(
                    "hold rule {key} cannot be understood and holds nothing: {why}", key=key, why=str(why)
                )
        self._rules = dict(sorted(self._rules.items()))
        self._sleep()

    def get(self, number: int) -> HoldRule | None:
        """The rule of that number, if it is in force."""
        found = self._rules.get(number)
        return None if found is None else found[0]

    def stop(self) -> None:
        """No rule ends any more."""
        self._stopped = True
        if self._next is not None and self._next.active():
            self._next.cancel()

    def applied(self, submission: Submission) -> Submission:
        """A message on its way in, those of its entries held that a rule means."""
        now = submission.arrived
        entries = tuple(self._judged(submission, new, now) for new in submission.entries)
        return msgspec.structs.replace(submission, entries=entries)

    def _judged(self, submission: Submission, new: NewEntry, now: float) -> NewEntry:
        if new.state is Lasting.HELD:
            return new
        candidate = arriving(submission, new)
        for rule, where in self._rules.values():
            if (rule.expires is None or now < rule.expires) and where.matches(candidate, now):
                return msgspec.structs.replace(new, state=Lasting.HELD, reason=rule.cause)
        return new

    async def hold_add(self, request: HoldAdd, caller: Caller, stream: Any) -> dict[str, Any]:
        where = selector(request.where)
        now = self._at.reactor.seconds()
        reason = request.reason or "no reason given"
        expires = None if request.expires is None else now + request.expires
        text = reason if expires is None else f"{reason}, for {request.expires:.0f} seconds"
        number = await self._at.acts.note(caller.name, "hold rule", request.where, text, caller.uid)
        rule = HoldRule(number, request.where, reason, caller.name, now, expires, request.release)
        await self._at.store.remember(TOPIC, str(number), msgspec.json.encode(rule).decode())
        self._rules[number] = (rule, where)
        self._sleep()
        log.info("hold rule {number} by {who}: {where}", number=number, who=caller.name, where=request.where)
        return shown(rule)

    def hold_list(self, request: HoldList, caller: Caller, stream: Any) -> list[dict[str, Any]]:
        now = self._at.reactor.seconds()
        return [shown(rule) for rule, _ in self._rules.values() if rule.expires is None or now < rule.expires]

    async def hold_remove(self, request: HoldRemove, caller: Caller, stream: Any) -> dict[str, Any]:
        found = self._rules.get(request.rule)
        if found is None:
            raise unknown_hold_rule(request.rule)
        rule = found[0]
        await self._at.acts.note(caller.name, "hold rule removed", rule.where, rule.cause, caller.uid)
        await self._forget(rule)
        released = None
        if request.release or rule.release:
            released = await self._release(rule, caller, stream)
        return {**shown(rule), "released": released}

    async def _forget(self, rule: HoldRule) -> None:
        await self._at.store.remember(TOPIC, str(rule.number), None)
        self._rules.pop(rule.number, None)

    async def _release(self, rule: HoldRule, caller: Caller, stream: Any) -> dict[str, Any]:
        """What the rule has held goes again."""
        wanted = QmRelease(where=f'reason="{_mark(rule.number)} (*"')
        return await self._bulk.do(wanted, self._verbs.release(caller), caller, stream)

    def _sleep(self) -> None:
        """Until the next rule ends."""
        times = [rule.expires for rule, _ in self._rules.values() if rule.expires is not None]
        if not times or self._stopped:
            return
        delay = min(max(min(times) - self._at.reactor.seconds(), 0.0), _LONGEST_SLEEP)
        if self._next is not None and self._next.active():
            self._next.reset(delay)
        else:
            self._next = self._at.reactor.callLater(delay, self._wake)

    def _wake(self) -> None:
        self._next = None
        ensureDeferred(self._expire()).addErrback(
            lambda why: log.failure("bug as a hold rule ends", failure=why)
        )

    async def _expire(self) -> None:
        now = self._at.reactor.seconds()
        try:
            for rule, _ in list(self._rules.values()):
                if rule.expires is not None and rule.expires <= now:
                    log.info("hold rule {number} has expired", number=rule.number)
                    await self._forget(rule)
                    if rule.release:
                        # In the name of who made it so.
                        author = Caller(uid=0, pid=0, name=rule.author, rights=frozenset())
                        await self._release(rule, author, None)
        except StoreError as why:
            log.error("an expired hold rule cannot be removed yet: {why}", why=str(why))
            self._next = self._at.reactor.callLater(_LONGEST_SLEEP, self._wake)
            return
        self._sleep()


def shown(rule: HoldRule) -> dict[str, Any]:
    """A rule with the stable keys of ``hold list --json``."""
    return {
        "rule": rule.number,
        "where": rule.where,
        "reason": rule.reason,
        "author": rule.author,
        "since": rule.since,
        "expires": rule.expires,
        "release": rule.release,
        "cause": rule.cause,
    }


def _mark(number: int) -> str:
    return f"hold rule {number}"
