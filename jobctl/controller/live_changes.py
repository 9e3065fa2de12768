"""What operators change in the running Job Controller (``cache change``), over restarts where they say so."""

from collections.abc import Iterator
from typing import Any

import msgspec
from twisted.logger import Logger

from jobctl.config.overlay import Change, checked
from jobctl.control.operations import Caller
from jobctl.control.requests import CacheChange, CacheChanges, CacheRevert
from jobctl.errors import UsageError

log = Logger()

# Under which the store remembers them.
TOPIC = "setting"


class LiveChanges:
    """
    The changes in force.

    :param controller: Its ``settings_changed`` is called whenever they are others.
    """

    def __init__(self, controller: Any) -> None:
        self._at = controller
        self._changes: dict[tuple[str, str, str], Change] = {}

    def __iter__(self) -> Iterator[Change]:
        return iter(list(self._changes.values()))

    async def restore(self) -> None:
        """After a restart: those that were to survive it."""
        for key, text in (await self._at.store.remembered(TOPIC)).items():
            try:
                change = msgspec.json.decode(text, type=Change)
                checked(self._at.configured, change)
            except (msgspec.DecodeError, ValueError) as why:
                log.warn(
                    "the change {key} is left out: {why}; 'jobctl cache revert' removes it", key=key, why=why
                )
                continue
            self._changes[change.place] = change
        if self._changes:
            self._at.settings_changed()

    async def cache_change(self, request: CacheChange, caller: Caller, stream: Any) -> list[Change]:
        """All of it or nothing."""
        if not request.set:
            raise UsageError("nothing to change is given; see 'jobctl cache change --help'")
        now = self._at.reactor.seconds()
        changes = [
            Change(
                scope=request.scope,
                name=request.name,
                option=option,
                value=value,
                author=caller.name,
                since=now,
                persistent=request.persistent,
            )
            for option, value in request.set.items()
        ]
        for change in changes:
            try:
                checked(self._at.configured, change)
            except ValueError as why:
                raise UsageError(str(why)) from None
        await self._at.acts.note(
            caller.name,
            "cache change",
            " ".join(part for part in (request.scope, request.name) if part),
            ", ".join(f"{change.option}={change.value}" for change in changes)
            + (", over restarts" if request.persistent else ""),
            caller.uid,
        )
        for change in changes:
            before = self._changes.get(change.place)
            if change.persistent or (before is not None and before.persistent):
                await self._remember(change, change.persistent)
            self._changes[change.place] = change
            log.info(
                "{what} set to {value} by {who}", what=_named(change), value=change.value, who=caller.name
            )
        self._at.settings_changed()
        return changes

    async def cache_revert(self, request: CacheRevert, caller: Caller, stream: Any) -> list[Change]:
        """What the configuration says counts again."""
        meant = [
            change
            for change in self._changes.values()
            if request.all
            or (
                (change.scope, change.name) == (request.scope, request.name)
                and (not request.options or change.option in request.options)
            )
        ]
        if meant:
            text = ", ".join(_named(change) for change in meant)
            await self._at.acts.note(caller.name, "cache revert", request.scope or "all", text, caller.uid)
        for change in meant:
            if change.persistent:
                await self._remember(change, False)
            del self._changes[change.place]
            log.info("{what} is as configured again, by {who}", what=_named(change), who=caller.name)
        if request.all:
            # Those too that no longer fit the configuration.
            for key in await self._at.store.remembered(TOPIC):
                await self._at.store.remember(TOPIC, key, None)
        if meant:
            self._at.settings_changed()
        return meant

    def cache_changes(self, request: CacheChanges, caller: Caller, stream: Any) -> list[Change]:
        return [self._changes[place] for place in sorted(self._changes)]

    async def _remember(self, change: Change, keep: bool) -> None:
        text = msgspec.json.encode(change).decode() if keep else None
        await self._at.store.remember(TOPIC, "/".join(change.place), text)


def _named(change: Change) -> str:
    return " ".join(part for part in (change.scope, change.name, change.option) if part)
