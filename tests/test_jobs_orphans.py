"""What programs leave behind outside of their session: it ends with its job, and nothing stays defunct."""

import os
import subprocess
from typing import Any

from twisted.internet import process, reactor
from twisted.internet.task import deferLater

from jobctl.jobprotocol.frames import Event
from jobctl.jobs.orphans import children
from tests.jobs_case import SupervisionCase
from tests.jobs_support import program, spec


def alive(pid: int) -> bool:
    """Whether there is such a process, if only as one that nobody has reaped."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_children_where_the_kernel_has_no_list_of_them(monkeypatch):
    """They are found among all processes then."""
    child = subprocess.Popen(["sleep", "1000"])
    try:
        assert child.pid in children()
        real = os.listdir

        def without(path):
            if path == "/proc/self/task":
                raise FileNotFoundError(path)
            return real(path)

        monkeypatch.setattr(os, "listdir", without)
        assert child.pid in children()
        assert os.getpid() not in children()
    finally:
        child.kill()
        child.wait()


class OrphanTests(SupervisionCase):
    async def gone(self, *pids: int) -> None:
        while any(alive(pid) for pid in pids):
            await deferLater(reactor, 0.01)

    async def escaped(self, *arguments: str, id: str = "j1") -> tuple[Any, list[int]]:
        """A job that has left a daemon, and that one's own, and their numbers."""
        before = len(self.handler.said(Event))
        self.the.start(spec(*program("escapes.py", *arguments), id=id))
        await self.handler.until(lambda: len(self.handler.said(Event)) > before)
        job = self.the.jobs[id]
        return job, [int(word) for word in self.handler.said(Event)[-1].text.split()]

    async def test_a_daemon_ends_with_its_job(self) -> None:
        """A descendant with a session of its own, and its descendants in turn, are killed and reaped."""
        self.supervisor().adopt_orphans()
        job, pids = await self.escaped()
        self.assertTrue(all(alive(pid) for pid in pids))
        job.stop()
        self.assertEqual((await self.end()).exit_status, 0)
        await self.gone(*pids)

    async def test_one_that_nobody_has_reaped_hides_no_other(self) -> None:
        """A child of the daemon itself that has ended and waits to be reaped keeps nothing else waiting."""
        waiting = subprocess.Popen(["true"])
        os.waitid(os.P_PID, waiting.pid, os.WEXITED | os.WNOWAIT)
        try:
            self.supervisor().adopt_orphans()
            job, pids = await self.escaped()
            job.stop()
            await self.end()
            await self.gone(*pids)
        finally:
            waiting.wait()

    async def test_a_daemon_with_another_environment(self) -> None:
        """One that does not tell whose it is ends when all jobs have that could have started it."""
        self.supervisor().adopt_orphans()
        job, pids = await self.escaped("clean")
        job.stop()
        await self.end()
        await self.gone(*pids)

    async def test_other_jobs_keep_theirs(self) -> None:
        """The end of one job takes nothing from another."""
        self.supervisor().adopt_orphans()
        one, mine = await self.escaped(id="j1")
        other, theirs = await self.escaped(id="j2")
        one.stop()
        await self.end()
        await self.gone(*mine)
        self.assertTrue(all(alive(pid) for pid in theirs))
        other.stop()
        await self.handler.until(lambda: len(self.handler.ended) == 2)
        await self.gone(*theirs)

    async def test_what_holds_the_pipes_of_a_job_outside_of_its_session(self) -> None:
        """It is killed, not only turned away from."""
        self.supervisor().adopt_orphans()
        job = await self.started(*program("forks.py", "escape"))
        await self.handler.until(lambda: bool(self.handler.said(Event)))
        pid = int(self.handler.said(Event)[0].text)
        job.stop()
        self.assertEqual((await self.end()).exit_status, 3)
        await self.gone(pid)
        self.assertNotIn("outlived", "".join(self.handler.logged))

    async def test_nothing_defunct_after_many(self) -> None:
        """Forty programs, each leaving a process behind that ends at once: all are reaped."""
        self.supervisor().adopt_orphans()
        before = set(children())
        script = """echo '{"op":"hello","version":1,"name":"x"}' >&4; (setsid true &) ; read line <&3"""
        for number in range(40):
            self.the.start(spec("sh", "-c", script, id=f"j{number}"))
        await self.handler.until(lambda: len(self.handler.ended) == 40)
        while {*children()} - before:
            await deferLater(reactor, 0.01)

    async def test_supervision_that_is_over_adopts_nothing(self) -> None:
        """What it has changed in the process is taken back."""
        self.supervisor().adopt_orphans()
        await self.the.stop_all()
        self.assertEqual([pid for pid in process.reapProcessHandlers if pid < 0], [])
        middle = os.fork()
        if middle == 0:
            os.fork()
            os._exit(0)
        os.waitpid(middle, 0)
        self.assertEqual(set(children()) - self.before, set())
