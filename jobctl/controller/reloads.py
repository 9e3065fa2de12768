"""Bringing the configuration file into force while everything runs: checked whole, then applied at once."""

import os
from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.defer import DeferredLock, ensureDeferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.config.difference import Difference, differences, with_fixed
from jobctl.config.loader import load
from jobctl.config.overlay import effective
from jobctl.config.settings import Settings
from jobctl.control.peer import Rights, daemon_rights
from jobctl.controller.reload_effects import effects, shown
from jobctl.errors import ConfigError, StoreError, UsageError
from jobctl.net.sockets import CannotListen, Sockets, close_all

log = Logger()

# Changes that the log lists one by one.
MOST_LOGGED = 50
# Characters of the changed keys in the record of what operators did.
MOST_RECORDED = 2000
_BUSY = "the Job Controller is stopping; its next start reads the configuration"


class Outcome(msgspec.Struct, frozen=True):
    """
    What a reload did, or would do.

    :ivar configuration: The file.
    :ivar applied: It is in force now; not with ``dry_run``, and not when there are problems.
    :ivar problems: Why it was refused, a line each; then nothing was changed.
    :ivar changes: Each with ``{key, line, old, new, effect, messages, restart}``.
    """

    configuration: str
    applied: bool
    problems: list[str] = []
    changes: list[dict[str, Any]] = []


class Reloads:
    """
    One reload after the other, whoever asks for them.

    :ivar read: Gives the checked configuration, or a Deferred of it; raises ConfigError.
    :ivar rights: Called with new settings and what they say of the control socket.
    :ivar tell: Called with True when a reload begins, with False when it is over.
    """

    def __init__(self, controller: Any) -> None:
        self._at = controller
        self.read: Callable[[], Any] = lambda: load(controller.settings.path)
        self.rights: Callable[[Settings, Rights], None] = lambda settings, rights: None
        self.tell: Callable[[bool], None] = lambda begins: None
        self._lock = DeferredLock()
        self._ready = False
        self._over = False
        self._asked = False

    def begin(self) -> None:
        """The controller serves: reloads can be."""
        self._ready = True
        if self._asked:
            self._asked = False
            self.hang_up()

    def stop(self) -> None:
        """The controller stops: nothing is changed any more."""
        self._over = True

    def hang_up(self) -> None:
        """
        SIGHUP came.

        Before the start is over it is remembered; several at a time are one.
        """
        if self._over or self._asked:
            return
        self._asked = True
        if self._ready:
            ensureDeferred(self._by_signal()).addErrback(_bug)

    async def _by_signal(self) -> None:
        try:
            await self.reload("SIGHUP", begun=self._signal_heard)
        except UsageError as why:
            log.info("reload: {why}", why=str(why))

    def _signal_heard(self) -> None:
        # Whoever changes the file after this sends another one.
        self._asked = False

    async def reload(
        self, who: str, dry_run: bool = False, begun: Callable[[], None] = lambda: None
    ) -> Outcome:
        """
        Read the file again and apply it.

        :param who: For the log.
        :param dry_run: Only say what would be.
        :param begun: Called when the file is about to be read.
        :raises UsageError: The controller is stopping.
        """
        await self._lock.acquire()
        try:
            begun()
            self._go_on()
            return await self._reload(who, dry_run)
        finally:
            self._lock.release()

    async def _reload(self, who: str, dry_run: bool) -> Outcome:
        path: str = self._at.settings.path
        if not dry_run:
            self.tell(True)
        try:
            read: Settings = await maybeDeferred(self.read)
            self._go_on()
            wanted = effective(read, self._at.live_changes)
            settings = with_fixed(self._at.settings, wanted)
            # What is wrong must be known before anybody is shown what would come of it.
            self._undo(self._check(settings))
            rows = await effects(self._at, differences(self._at.settings, wanted), settings)
            if dry_run:
                return Outcome(path, applied=False, changes=rows)
            self._go_on()
            # From here on nothing waits: no other change comes between the check and its application.
            wanted = effective(read, self._at.live_changes)
            settings = with_fixed(self._at.settings, wanted)
            found = differences(self._at.settings, wanted)
            self._apply(read, settings)
        except ConfigError as why:
            log.error(
                "configuration not reloaded for {who}, the old one stays in force: {problems}",
                who=who,
                problems="; ".join(why.problems),
            )
            return Outcome(path, applied=False, problems=why.problems)
        finally:
            if not dry_run:
                self.tell(False)
        self._tell(who, path, found)
        await self._put_on_record(who, path, found)
        return Outcome(path, applied=True, changes=rows)

    async def _put_on_record(self, who: str, path: str, found: list[Difference]) -> None:
        keys = " ".join(one.key for one in found)
        try:
            await self._at.acts.note(who, "reload", path, keys[:MOST_RECORDED])
        except StoreError as why:
            log.warn("the reload cannot be put on record: {why}", why=str(why))

    def _go_on(self) -> None:
        """:raises UsageError: The controller is stopping."""
        if self._over:
            raise UsageError(_BUSY, os.EX_TEMPFAIL)

    def _check(self, settings: Settings) -> tuple[Sockets, Rights]:
        """
        Have ready what may fail.

        :raises ConfigError: A port or a group cannot be had.
        """
        where = settings.controller
        try:
            rights = daemon_rights(where.control_group, where.control_readers)
        except ConfigError as why:
            raise ConfigError([_placed(settings, problem) for problem in why.problems]) from None
        try:
            return self._at.services.prepare(settings), rights
        except CannotListen as why:
            key = f"dispatcher.service.{why.service}.listen"
            line = settings.lines.get(key.lower(), settings.lines.get("dispatcher.service", 0))
            raise ConfigError([f"{settings.path}:{line}: {key}: {why.strerror}"]) from None

    def _undo(self, checked: tuple[Sockets, Rights]) -> None:
        close_all(checked[0])

    def _apply(self, read: Settings, settings: Settings) -> None:
        sockets, rights = self._check(settings)
        self._at.configured = with_fixed(self._at.settings, read)
        self._at.reconfigure(settings, sockets)
        self.rights(settings, rights)

    def _tell(self, who: str, path: str, found: list[Difference]) -> None:
        log.info(
            "configuration {path} reloaded by {who}: {count} changes", path=path, who=who, count=len(found)
        )
        for one in found[:MOST_LOGGED]:
            log.info(
                "{key}: {old} -> {new}{restart}",
                key=one.key,
                old=shown(one.old),
                new=shown(one.new),
                restart=" after a restart" if one.restart else "",
            )


def _placed(settings: Settings, problem: str) -> str:
    """A problem that names its key alone, with file and line as all others have them."""
    key, _, text = problem.partition(": ")
    line = settings.lines.get(f"job_controller.{key}", 0)
    return f"{settings.path}:{line}: job_controller.{key}: {text}"


def _bug(why: Failure) -> None:
    log.failure("bug while the configuration is reloaded", failure=why)
