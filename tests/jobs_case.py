"""The frame of every test with real children."""

import os
import shutil
import tempfile
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from jobctl.jobprotocol.frames import Ask
from jobctl.jobs.orphans import children
from jobctl.jobs.supervisor import Supervisor, SupervisorSettings
from jobctl.net import sure_events
from tests.jobs_support import Handler, spec


class SupervisionCase(TestCase):
    """Every test ends with no job, no child and no timer left; trial looks for the last two itself."""

    timeout = 30
    peer_spec: Any = None

    def setUp(self) -> None:
        # As in the daemon.
        sure_events.install(reactor)
        self.before = set(children())
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.handler = Handler()
        self.clock = Clock()
        self.addCleanup(self.finish)

    def supervisor(self, *, virtual: bool = False, resolver: Any = None, **settings: Any) -> Supervisor:
        """:param virtual: Timers run by ``self.clock`` only."""
        settings = {"drain": 0.2, **settings}
        settings.setdefault("sent_directory", os.path.join(self.directory, "sent"))
        self.the = Supervisor(
            reactor,
            self.handler,
            resolver,
            SupervisorSettings(**settings),
            self.peer_spec,
            self.clock if virtual else None,
        )
        return self.the

    async def finish(self) -> None:
        for job in self.the.jobs.values():
            job.end("test over")
        await self.the.stop_all(0)
        self.assertEqual(self.the.jobs, {})
        self.assertEqual(set(children()) - self.before, set())

    async def started(self, *argv: str, asked: bool = True, **keys: Any) -> Any:
        """Start a program and return its job once it has asked for work."""
        self.the.start(spec(*argv, **keys))
        await self.handler.until(
            lambda: bool(self.handler.said(Ask)) or not asked or bool(self.handler.ended)
        )
        await self.handler.until(lambda: bool(self.handler.spawned))
        return self.handler.spawned[-1]

    async def end(self) -> Any:
        await self.handler.until(lambda: bool(self.handler.ended))
        return self.handler.ended[-1][1]
