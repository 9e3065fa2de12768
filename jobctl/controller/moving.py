"""Verbs that take messages elsewhere: to another channel, where the rules say now, to another recipient or host."""

from collections.abc import Callable, Sequence
from typing import Any

from jobctl.control.operations import Caller
from jobctl.control.refusals import bad_address, unknown_channel
from jobctl.controller.verbs import WITH_CONTENT, Grace, Verb
from jobctl.errors import UsageError
from jobctl.interfaces import IContent
from jobctl.mail.address import normal_domain, parse_path
from jobctl.mail.entry import Attempt, Loss, NewEntry, Origin, Settlement, StoredEntry, Submission, Undo
from jobctl.mail.envelope import Recipient
from jobctl.routing.decision import host_of
from jobctl.routing.grouping import readdressed
from jobctl.routing.router import Group, NoRoute
from jobctl.store.records import INLINE, with_recipients

_PIECE = 64 * 1024
_PAST = {"move": "moved", "reroute": "rerouted", "redirect": "redirected"}

# Recipients into groups of the same channel and host.
_Route = Callable[[Sequence[Recipient]], list[Group]]


class Moving:
    """
    Makes verbs of requests, for one controller.

    An entry whose recipients part ways stays what it is for the first of them; for
    the others entries are made, with the same content and age, in the same commit.
    """

    def __init__(self, controller: Any) -> None:
        self._at = controller

    def move(self, channel: str, window: float, caller: Caller) -> Verb:
        """:raises UsageError: There is no such channel."""
        if channel not in self._at.settings.channels:
            raise unknown_channel(channel, self._at.settings.channels)

        async def change(stored: StoredEntry, grace: Grace) -> Settlement | None:
            if stored.entry.channel == channel:
                return None
            return await self._elsewhere(
                stored, lambda some: self._at.router.group_into(channel, some), "move", grace, caller
            )

        return Verb("move", "moved", change, f"to {channel}", window=window, together=WITH_CONTENT)

    def reroute(self, window: float, caller: Caller) -> Verb:
        """Ask the rewrite rules again."""

        async def change(stored: StoredEntry, grace: Grace) -> Settlement | str | None:
            source = stored.source.channel
            try:
                return await self._elsewhere(
                    stored, lambda some: self._at.router.group(some, source), "reroute", grace, caller
                )
            except NoRoute as why:
                return f"the rules lead nowhere: {why.text}"

        return Verb("reroute", "rerouted", change, window=window, together=WITH_CONTENT)

    def redirect(self, address: str | None, host: str | None, window: float, caller: Caller) -> Verb:
        """
        :param address: Who gets it instead of all its recipients; the rules say by which channel.
        :param host: Or where it is delivered instead, by the same channel.
        :raises UsageError: Neither or both, or one that will not do.
        """
        if (address is None) == (host is None):
            raise UsageError("say whom or where to redirect to: another recipient, or another host")
        if address is not None:
            return self._to_recipient(_mailbox(address), window, caller)
        assert host is not None
        return self._to_host(_host(host), window, caller)

    def _to_recipient(self, address: str, window: float, caller: Caller) -> Verb:
        def change(stored: StoredEntry, grace: Grace) -> Settlement | str | None:
            old = stored.envelope.recipients
            # Of several the first decides what its sender is told: one copy is delivered, not many.
            new = readdressed(old[0], address)
            if old == (new,):
                return None
            try:
                ((channel, place, recipients),) = self._at.router.group((new,), stored.source.channel)
            except NoRoute as why:
                return f"the rules lead nowhere: {why.text}"
            return self._settlement(
                stored, (channel, place), old, tuple(recipients), "redirect", grace, caller
            )

        return Verb("redirect", "redirected", change, f"to {address}", window=window)

    def _to_host(self, host: str, window: float, caller: Caller) -> Verb:
        def change(stored: StoredEntry, grace: Grace) -> Settlement | str | None:
            entry = stored.entry
            if entry.host == host:
                return None
            settings = self._at.settings.channel(entry.channel)
            if host_of(settings, host) != host:
                return (
                    f"channel {entry.channel} does not tell hosts apart (it has a gateway); move it instead"
                )
            return self._settlement(stored, (entry.channel, host), (), None, "redirect", grace, caller)

        return Verb("redirect", "redirected", change, f"to host {host}", window=window)

    async def _elsewhere(
        self, stored: StoredEntry, route: _Route, what: str, grace: Grace, caller: Caller
    ) -> Settlement | None:
        """
        What takes the recipients where they belong.

        :raises NoRoute: One of them belongs nowhere; nothing is changed for the others.
        """
        old = stored.envelope.recipients
        (channel, host, first), *others = route(old)
        here = (stored.entry.channel, stored.entry.host)
        if not others and here == (channel, host) and tuple(first) == old:
            return None
        new = {recipient.address: route((recipient,))[0][2][0].address for recipient in old}
        addresses = {recipient.address for recipient in first}
        mine = tuple(recipient for recipient in old if new[recipient.address] in addresses)
        changed = None if mine == tuple(first) else tuple(first)
        split = () if not others else (await self._split_off(stored, others),)
        losses = tuple((r.address, Loss.MOVED) for r in old if r not in mine)
        return self._settlement(
            stored, (channel, host), mine, changed, what, grace, caller, losses, split,
            tuple(new[recipient.address] for recipient in mine),
        )  # fmt: skip

    def _settlement(
        self,
        stored: StoredEntry,
        place: tuple[str, str],
        old: tuple[Recipient, ...],
        new: tuple[Recipient, ...] | None,
        what: str,
        grace: Grace,
        caller: Caller,
        losses: tuple[tuple[str, Loss], ...] = (),
        split: tuple[Submission, ...] = (),
        stand_ins: tuple[str, ...] | None = None,
    ) -> Settlement:
        """
        :param old: Recipients for whom ``new`` stand in, ``None``: themselves.
        :param losses: Recipients that ``split`` has.
        :param stand_ins: Whose address each of ``old`` has then; the first new one's where it is not said.
        """
        entry, now = stored.entry, self._at.reactor.seconds()
        here = (entry.channel, entry.host)
        undo = None
        if grace.window:
            undo = Undo(
                grace.operation,
                now + grace.window,
                what,
                stored.state,
                here,
                None if new is None else old,
                () if new is None else stand_ins or (new[0].address,) * len(old),
            )
        text = f"{_shown(here)} to {_shown(place)}"
        if new is not None:
            text += f", for {_listed(old)} to {_listed(new)}"
        line = Attempt(now, _PAST[what], f"{text}, by {caller.name}")
        return Settlement(
            id=entry.id, losses=losses, place=place, recipients=new, history=(line,), notifications=split, undo=undo
        )  # fmt: skip

    async def _split_off(self, stored: StoredEntry, groups: list[Group]) -> Submission:
        """:raises jobctl.errors.StoreError: The content cannot be read, or there is no room for another."""
        entry = stored.entry
        # What is held counts as held since it arrived.
        since = stored.held_since - entry.enqueued if stored.held_since else 0.0
        entries = tuple(
            NewEntry(
                channel,
                host,
                tuple(recipients),
                entry.priority,
                entry.due,
                stored.state,
                stored.reason,
                paused=entry.paused - since,
                deadline=entry.deadline,
                returns=entry.returns,
            )
            for channel, host, recipients in groups
        )
        everybody = tuple(recipient for new in entries for recipient in new.recipients)
        return Submission(
            envelope=with_recipients(stored.envelope, everybody),
            source=stored.source,
            content=await self._copy(stored),
            size=entry.size,
            entries=entries,
            envelope_id=stored.envelope_id,
            origin=Origin.ACCEPTED,
            arrived=entry.enqueued,
            message_id=stored.message_id,
            subject=stored.subject,
            sensitivity=stored.sensitivity,
        )

    async def _copy(self, stored: StoredEntry) -> Any:
        opened: IContent = await self._at.store.content(stored.message)
        try:
            if opened.size <= INLINE:
                return b"".join(iter(lambda: opened.read(_PIECE), b""))
            staged = self._at.store.stage()
            while piece := opened.read(_PIECE):
                staged.write(piece)
            return staged
        finally:
            opened.close()


def taken_back(undo: Undo, stored: StoredEntry, when: float, who: str) -> Settlement:
    """
    The contrary of what an act did to an entry, for the recipients that are still open.

    :param when: Epoch seconds.
    """
    still = {recipient.address for recipient in stored.envelope.recipients}
    recipients = None
    if undo.recipients is not None:
        pairs = zip(undo.recipients, undo.stand_ins, strict=True)
        recipients = tuple(old for old, new in pairs if new in still) or None
    return Settlement(
        id=stored.entry.id,
        state=undo.state if undo.place is None else None,
        place=undo.place,
        recipients=recipients,
        history=(Attempt(when, "undone", f"{undo.what} taken back by {who}"),),
        ended=undo.operation,
    )


def _mailbox(address: str) -> str:
    try:
        mailbox = parse_path(address, null_ok=False)
    except ValueError as why:
        raise bad_address(address, why) from None
    if "@" not in mailbox:
        raise bad_address(address, "it has no domain")
    return mailbox


def _host(text: str) -> str:
    """:raises UsageError: It is no host name or address literal."""
    try:
        return normal_domain(parse_path(f"x@{text}", null_ok=False).partition("@")[2])
    except ValueError:
        raise UsageError(f"{text!r} is no host: write a name, or an address as in [192.0.2.1]") from None


def _shown(place: tuple[str, str]) -> str:
    channel, host = place
    return f"{channel} ({host})" if host else channel


def _listed(recipients: Sequence[Recipient]) -> str:
    first = recipients[0].address if recipients else "nobody"
    return first if len(recipients) < 2 else f"{first} and {len(recipients) - 1} more"
