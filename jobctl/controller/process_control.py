"""Ending and restarting what runs: the daemon itself, server jobs, and the jobs of a channel."""

import atexit
import os
import sys
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from jobctl.control.operations import Caller
from jobctl.control.requests import Restart, Shutdown
from jobctl.control.selection import matching_channels
from jobctl.errors import StoreError, UsageError
from jobctl.net import hang_up

log = Logger()

# Seconds from the answer to the end: the caller is to read it.
FAREWELL = 0.2
EVERYTHING = ("", "job_controller")
SERVERS = "dispatcher"
# What a daemon is told that begins for the first time.
_ONCE = ("--first-message",)


class ProcessControl:
    """
    :param controller: What is ended.
    :ivar end: Ends the daemon in order.
    :ivar again: Has the daemon's process begin anew once it has ended; raises UsageError when it could not.
    """

    def __init__(self, controller: Any) -> None:
        self._at = controller
        self.end: Callable[[], None] = lambda: None
        self.again: Callable[[], None] = lambda: None

    async def shutdown(self, request: Shutdown, caller: Caller, stream: Any) -> dict[str, Any]:
        await self._note(caller, "stop", "job_controller")
        log.info("stopped by {who}", who=caller.name)
        return self._over()

    async def restart(self, request: Restart, caller: Caller, stream: Any) -> dict[str, Any]:
        component = request.component.lower()
        if component in EVERYTHING:
            self.again()
            await self._note(caller, "restart", "job_controller")
            log.info("restarted by {who}", who=caller.name)
            return {**self._over(), "replaced": []}
        channels = self._meant(component)
        await self._note(caller, "restart", component)
        services = self._at.services.replace(channels)
        jobs = self._replace_masters(channels) if component != SERVERS else []
        log.info("{what} restarted by {who}", what=component, who=caller.name)
        self._at.dispatch.kick()
        return {"pid": os.getpid(), "replaced": [*services, *jobs]}

    async def _note(self, caller: Caller, what: str, subject: str) -> None:
        """On record; but a disk that is full must not keep the daemon from being stopped."""
        try:
            await self._at.acts.note(caller.name, what, subject, uid=caller.uid)
        except StoreError as why:
            log.error("{what} cannot be put on record: {why}", what=what, why=str(why))

    def _meant(self, component: str) -> list[str]:
        """Channels whose programs are meant by ``dispatcher``, a service, or a channel with wildcards."""
        settings = self._at.settings
        services = settings.services
        if component == SERVERS:
            return sorted({one.channel for one in services.values()})
        named = [one.channel for name, one in services.items() if name.lower() == component]
        channels = matching_channels(component, settings.channels)
        if not named and not channels:
            raise UsageError(
                f"there is no {component} to restart: give job_controller, dispatcher, a service "
                f"({', '.join(sorted(services)) or 'none'}) or a channel"
            )
        return sorted({*named, *channels})

    def _replace_masters(self, channels: list[str]) -> list[str]:
        """They finish what they hold; the schedule starts others where there is mail."""
        replaced = []
        for job in list(self._at.jobs.values()):
            spec = job.spec
            if spec.role == "master" and spec.run is None and spec.channel.name in channels:
                self._at.scheduler.job_stopping(job.id)
                job.retire()
                replaced.append(job.id)
        return replaced

    def _over(self) -> dict[str, Any]:
        self._at.reactor.callLater(FAREWELL, lambda: self.end())
        return {"pid": os.getpid(), "started": self._at.started}


class Again:
    """
    Has this process begin anew, as it was started, when it has come to its end.

    What it was given and gave away at its start it would not have again: then it refuses.
    """

    def __init__(self) -> None:
        self._user = os.geteuid()
        self._directory = os.getcwd()
        self._given = "LISTEN_FDS" in os.environ

    def __call__(self) -> None:
        """:raises UsageError: It could not; nothing was done."""
        if os.geteuid() != self._user or self._given:
            raise UsageError(
                "the Job Controller gave up rights or sockets that it was started with and could not start "
                "itself again: restart it as it was started (systemctl restart ...)"
            )
        words = [word for word in sys.orig_argv[1:] if word not in _ONCE]
        atexit.register(self.execute, [sys.executable, *words])

    def execute(self, command: list[str]) -> None:
        """The same process, so that whoever watches it goes on watching it."""
        os.chdir(self._directory)
        hang_up.shut_out()
        os.execv(command[0], command)
