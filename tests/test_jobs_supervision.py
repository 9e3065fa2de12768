"""Real children, real signals: what supervision promises of any program."""

import json
import os
import resource
import signal
import sys
import zlib
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater

from jobctl.errors import ChannelViolation, StoreError
from jobctl.jobprotocol.frames import Alive, Ask, Event, HelloProgram, Report, Submit
from jobctl.jobs import child
from jobctl.jobs.content_streams import BytesContent
from jobctl.jobs.journal import leftovers
from jobctl.mail.disposition import Verdict
from tests.jobs_case import SupervisionCase
from tests.jobs_support import Handler, channel, message, program, spec


class WorkTests(SupervisionCase):
    async def test_messages_go_out_and_verdicts_come_back(self) -> None:
        """A message given to a program comes back as a verdict, its octets unchanged."""
        self.supervisor()
        job = await self.started(*program("echo.py"))
        content = bytes(range(256)) * 16
        job.assign(message("e1", octets=len(content)), content)
        self.assertIn("e1", job.held)
        self.assertGreater(job.pending, len(content))
        await self.handler.until(lambda: bool(self.handler.said(Report)))
        report = self.handler.said(Report)[0]
        self.assertEqual(report.reply, f"250 {len(content)} {zlib.crc32(content)}")
        self.assertEqual((job.held, job.pending, job.assigned), ({}, 0, 1))
        job.stop()
        how = await self.end()
        self.assertEqual((how.exit_status, how.greeted, how.worked), (0, True, True))
        self.assertEqual(how.text, "exited with status 0 after it was told to stop")

    async def test_a_large_message_comes_in_pieces(self) -> None:
        """A message larger than a frame arrives whole in a program that reads one thing after the other."""
        await self.large("0")

    async def test_a_large_message_with_a_window(self) -> None:
        """With a window a small message overtakes a large one, and both arrive whole."""
        await self.large("2")
        self.assertEqual([report.id for report in self.handler.said(Report)], ["small", "big"])

    async def large(self, window: str) -> None:
        self.supervisor()
        job = await self.started(*program("echo.py", window))
        content = Content(os.urandom(6_000_000))
        most = 0

        def watch(*_: Any) -> None:
            nonlocal most
            most = max(most, job.pending)

        content.watch = watch
        job.assign(message("big", octets=content.size), content)
        job.assign(message("small", octets=5), b"hello")
        await self.handler.until(lambda: len(self.handler.said(Report)) == 2)
        replies = {report.id: report.reply for report in self.handler.said(Report)}
        self.assertEqual(replies["big"], f"250 6000000 {zlib.crc32(content.data)}")
        self.assertEqual(replies["small"], f"250 5 {zlib.crc32(b'hello')}")
        self.assertTrue(content.closed)
        self.assertLess(most, 1024 * 1024)

    async def test_content_that_cannot_be_read(self) -> None:
        """A damaged message comes back deferred when nothing of it has gone; the others do not notice."""
        self.supervisor()
        job = await self.started(*program("echo.py"))
        job.assign(message("bad", octets=600_000), Content(b"", size=600_000))
        job.assign(message("good", octets=2), b"ok")
        await self.handler.until(lambda: len(self.handler.said(Report)) == 2)
        bad, good = self.handler.said(Report)
        self.assertEqual((bad.id, bad.verdict, bad.scope), ("bad", Verdict.DEFERRED, "local"))
        self.assertEqual((good.id, good.verdict), ("good", Verdict.DELIVERED))
        # The program never heard of it, so it has as much credit as before.
        begun = [type(frame) for frame, _ in self.handler.frames if isinstance(frame, Report | Ask)]
        self.assertEqual(begun[begun.index(Report) :][:2], [Report, Ask])

    async def test_what_was_not_begun_is_not_to_blame(self) -> None:
        """Of messages that wait behind a large one nothing has gone when the program dies."""
        self.supervisor()
        job = await self.started(*program("echo.py"))
        job.pause()
        os.kill(job.pid, signal.SIGSTOP)
        for id in ("first", "second"):
            job.assign(message(id, octets=20_000_000), Content(b"x" * 20_000_000))
        os.kill(job.pid, signal.SIGKILL)
        await self.end()
        self.assertEqual([job.held[id].untouched for id in ("first", "second")], [False, True])

    async def test_content_damaged_half_way(self) -> None:
        """A message that breaks off must not look complete: its program is ended."""
        self.supervisor()
        job = await self.started(*program("echo.py"))
        job.assign(message("bad", octets=600_000), Content(b"x" * 300_000, size=600_000))
        how = await self.end()
        self.assertIn("was ended: the content of bad cannot be read", how.text)
        self.assertEqual(job.held["bad"].damage, "300000 octets of the content are missing")
        self.assertEqual(self.handler.said(Report), [])

    async def test_a_program_that_writes_before_it_reads(self) -> None:
        """10 MiB written before anything is read do not block either side."""
        self.supervisor()
        job = await self.started(*program("writes_first.py"))
        self.assertEqual(sum(len(content) for _, content in self.handler.frames), 10 * 1024 * 1024)
        self.assertTrue(job.worked)

    async def test_pausing_holds_a_program_back(self) -> None:
        """While reading is paused a program is stopped by its full pipe, and goes on after."""
        self.supervisor()

        def pause(job: Any, frame: Any, content: bytes) -> None:
            if len(self.handler.said(Submit)) == 4:
                job.pause()
                reactor.callLater(0.05, job.resume)

        self.handler.on_frame = pause
        await self.started(*program("writes_first.py"))
        self.assertEqual(len(self.handler.said(Submit)), 40)


class Content:
    """An IContent that says when it is read."""

    def __init__(self, data: bytes, size: int | None = None) -> None:
        self.data = data
        self._inner = BytesContent(data)
        self.size = len(data) if size is None else size
        self.closed = False
        self.watch: Any = None

    def read(self, count: int) -> bytes:
        if self.watch is not None:
            self.watch()
        return self._inner.read(count)

    def close(self) -> None:
        self.closed = True


class DeathTests(SupervisionCase):
    async def test_death_defers_the_rest(self) -> None:
        """Verdicts a killed program gave stand, the rest are deferred; an announced final dot is known."""
        await self.death()

    async def test_the_journal_tells_what_was_announced(self) -> None:
        """A final dot announced by descriptor 5 is known after a kill; the file stays until it is settled."""
        await self.death("journal")
        job = self.handler.ended[0][0]
        self.assertEqual(leftovers(os.path.join(self.directory, "sent")), {job.journal.path: {("e1", 4)}})
        job.journal.remove()
        self.assertEqual(leftovers(os.path.join(self.directory, "sent")), {})

    async def death(self, *arguments: str) -> None:
        self.supervisor()
        job = await self.started(*program("dies.py", *arguments))
        job.assign(message("e1", "ann@a.example", "bob@b.example", attempt=4), b"Hi\r\n")
        job.assign(message("e2"), b"Hi\r\n")
        how = await self.end()
        self.assertEqual((how.exit_status, how.signal, how.worked), (None, 9, True))
        self.assertEqual(how.text, "was killed by SIGKILL")
        first, second = job.held["e1"], job.held["e2"]
        self.assertEqual(
            [(d.recipient, d.verdict) for d in first.ended(how.text)],
            [("ann@a.example", Verdict.DELIVERED), ("bob@b.example", Verdict.DEFERRED)],
        )
        self.assertEqual(second.ended(how.text)[0].reply, "451 4.3.0 channel program was killed by SIGKILL")
        self.assertTrue(first.sent)
        self.assertFalse(second.sent)
        self.assertIn("now I die", self.handler.logged)

    async def test_exit_status_and_last_words(self) -> None:
        """A program that cannot work says why on stderr, and that is the reason shown."""
        self.supervisor()
        await self.started("sh", "-c", "echo no such channel >&2; exit 78", asked=False)
        how = await self.end()
        self.assertEqual(how.text, "exited with status 78: no such channel")
        self.assertEqual((how.exit_status, how.greeted, how.worked), (78, False, False))

    async def test_no_hello(self) -> None:
        """A program that does not say hello in time is ended, and so it is said."""
        self.supervisor(virtual=True)
        await self.started(*program("silent.py"), asked=False)
        self.clock.advance(31)
        how = await self.end()
        self.assertEqual(how.text, "did not say hello within 30 s")

    async def test_a_stuck_program(self) -> None:
        """A program that holds work and says nothing for ten minutes is stuck, and ended."""
        self.supervisor(virtual=True)
        job = await self.started(*program("hangs.py"))
        self.clock.pump([60] * 30)
        self.assertEqual(self.handler.ended, [], "idle is not stuck")
        job.assign(message("e1"), b"Hi\r\n")
        self.clock.pump([60] * 10)
        self.assertEqual(self.handler.ended, [])
        self.clock.pump([60] * 2)
        how = await self.end()
        self.assertEqual(how.text, "was stuck: it held work and said nothing for 600 s")
        self.assertIn("e1", job.held)

    async def test_a_flood_on_stderr(self) -> None:
        """3 MiB on stderr are drained and cut down in the log; the program still works."""
        self.supervisor()
        job = await self.started(*program("floods.py"))
        job.assign(message("e1"), b"Hi\r\n")
        await self.handler.until(lambda: bool(self.handler.said(Report)))
        job.stop()
        await self.end()
        self.assertLess(len(self.handler.logged), 20_000)
        self.assertIn("lines left out", "".join(line for line in self.handler.logged if line[0] == "["))

    async def test_garbage(self) -> None:
        """A program that says garbage is killed; what it said before counts."""
        self.supervisor()
        job = await self.started(*program("garbage.py"))
        job.assign(message("e1"), b"Hi\r\n")
        job.assign(message("e2"), b"Hi\r\n")
        how = await self.end()
        self.assertIn("broke the protocol: not a frame", how.text)
        self.assertEqual([report.id for report in self.handler.said(Report)], ["e1"])
        self.assertEqual(list(job.held), ["e2"])

    async def test_closing_a_job_pipe(self) -> None:
        """A program that closes its job pipe and stays is ended: SIGTERM after a while."""
        self.supervisor(virtual=True)
        job = await self.started(*program("closes_early.py"))
        job.assign(message("e1"), b"Hi\r\n")
        while job._report.connected:
            await deferLater(reactor, 0)
        self.clock.advance(6)
        how = await self.end()
        self.assertEqual(how.text, "was killed by SIGTERM after it closed a job pipe and did not exit")

    async def test_ignoring_stop_and_sigterm(self) -> None:
        """A program that ignores "stop" and SIGTERM is killed after the times set for it."""
        self.supervisor(virtual=True)
        job = await self.started(*program("stubborn.py"))
        job.stop()
        self.clock.advance(30)
        self.clock.advance(4)
        self.assertTrue(job._child.running)
        self.clock.advance(1)
        how = await self.end()
        self.assertEqual(how.text, "was killed by SIGKILL after it was told to stop")

    async def test_one_that_is_replaced_finishes_however_long_that_takes(self) -> None:
        """It is no deadline for its message; only when it has nothing left it has to leave in time."""
        self.supervisor(virtual=True)
        job = await self.started(*program("finishes.py"))
        job.assign(message("e1"), b"Hi\r\n")
        job.retire()
        await self.handler.until(lambda: bool(self.handler.said(Alive)))
        self.clock.advance(300)
        self.assertTrue(job.leaving and job._child.running)
        os.kill(job.pid, signal.SIGUSR1)
        await self.handler.until(lambda: bool(self.handler.said(Report)))
        self.clock.advance(30)
        how = await self.end()
        self.assertEqual(how.text, "was killed by SIGTERM after it was replaced")
        self.assertTrue(how.stopped and how.worked)

    async def test_an_idle_one_that_is_replaced_leaves_in_time(self) -> None:
        """As one that was told to stop."""
        self.supervisor(virtual=True)
        job = await self.started(*program("stubborn.py"))
        job.retire()
        job.retire()
        self.clock.advance(30)
        self.clock.advance(5)
        how = await self.end()
        self.assertEqual(how.text, "was killed by SIGKILL after it was replaced")

    async def test_the_sessions_of_a_server_that_is_replaced_go_on(self) -> None:
        """For an hour; then it is told to stop as any other. The end of the daemon does not wait for that."""
        for seconds in (3600, 0):
            self.handler = Handler()
            self.supervisor(virtual=True)
            job = await self.started(*program("sessions.py"), asked=False, role="slave")
            await self.handler.until(lambda: len(self.handler.said(Submit)) == 1)
            job.retire()
            await self.handler.until(lambda: len(self.handler.said(Submit)) == 2)
            self.clock.advance(seconds)
            if not seconds:
                job.stop()
            await self.handler.until(lambda: len(self.handler.said(Submit)) == 3)
            how = await self.end()
            self.assertEqual(how.exit_status, 0)
            contents = [content for frame, content in self.handler.frames if isinstance(frame, Submit)]
            told = [json.loads(content) for content in contents[1:]]
            self.assertEqual(told, [{"op": "stop", "sessions": True}, {"op": "stop"}])


class GroupTests(SupervisionCase):
    async def test_grandchildren_end_with_the_job(self) -> None:
        """What a program started and left behind is killed with it."""
        how, grandchild = await self.forks()
        self.assertEqual(how.exit_status, 3)
        with self.assertRaises(ProcessLookupError):
            while True:
                os.kill(grandchild, 0)
                with open(f"/proc/{grandchild}/stat") as file:
                    if file.read().split()[2] in "ZX":
                        raise ProcessLookupError

    async def test_a_grandchild_that_left_the_session(self) -> None:
        """A daemon that a program left behind cannot keep the job from ending."""
        how, grandchild = await self.forks("escape")
        os.kill(grandchild, 9)
        self.assertEqual(how.exit_status, 3)
        self.assertIn("outlived", self.handler.logged[-1])

    async def forks(self, *arguments: str) -> tuple[Any, int]:
        self.supervisor()
        job = await self.started(*program("forks.py", *arguments))
        job.assign(message("e1"), b"Hi\r\n")
        how = await self.end()
        return how, int(self.handler.said(Event)[0].text)

    async def test_own_session_and_environment(self) -> None:
        """A program leads its own session, gets the allowed variables and no descriptor but its own."""
        os.environ["JOBCTL_TEST_SECRET"] = "secret"
        os.environ["TRANSPORTINFO"] = "TCP|not|from|the|daemon"
        self.addCleanup(os.environ.pop, "JOBCTL_TEST_SECRET")
        self.addCleanup(os.environ.pop, "TRANSPORTINFO")
        leak, _ = os.pipe()
        self.addCleanup(os.close, leak)
        self.addCleanup(os.close, _)
        os.set_inheritable(leak, True)
        self.supervisor()
        argument = "; rm -rf $HOME `id` 'x' \"y\" \n -z"
        self.the.start(
            spec(
                *program("tells.py", argument),
                environment={"PMDF_CHANNEL_OPTION": "/o", "JOBCTL_JOB": "forged"},
            )
        )
        await self.handler.until(lambda: bool(self.handler.said(Submit)))
        told = json.loads(self.handler.frames[-1][1])
        self.assertEqual(told["argv"], [argument])
        self.assertEqual(told["descriptors"], [0, 1, 2, 3, 4, 5])
        pid = self.handler.spawned[0].pid
        self.assertEqual(told["group"], [pid, pid, pid])
        variables = told["environment"]
        self.assertNotIn("JOBCTL_TEST_SECRET", variables)
        self.assertNotIn("TRANSPORTINFO", variables)
        expected = {
            "PMDF_CHANNEL": "test_line",
            "PMDF_CHANNEL_OPTION": "/o",
            "JOBCTL_JOB": "j1",
            "JOBCTL_SENT_FD": "5",
        }
        self.assertEqual({name: variables.get(name) for name in expected}, expected)
        self.assertEqual(told["hello"]["settings"]["official_host_name"], "line.example")

    async def test_two_hundred_workers_do_not_hold_each_others_pipes(self) -> None:
        """Of 200 programs started together one is told nothing but end-of-file, and sees it at once."""
        self.supervisor()
        for number in range(200):
            self.the.start(spec(*program("waits.sh"), id=f"j{number}"))
        await self.handler.until(lambda: len(self.handler.said(HelloProgram)) == 200)
        self.handler.spawned[100]._work.close()
        how = await self.end()
        self.assertEqual((self.handler.ended[0][0].id, how.exit_status), ("j100", 7))
        self.assertEqual(len(self.the.jobs), 199)
        before = len(os.listdir("/proc/self/fd"))
        await self.the.stop_all(5)
        self.assertEqual({how.exit_status for _, how in self.handler.ended[1:]}, {0})
        self.assertEqual(len(os.listdir("/proc/self/fd")), before - 199 * 3)

    async def test_a_server_gets_its_listening_sockets(self) -> None:
        """Descriptors handed to a server program are open in it, and hello says which."""
        one, two = os.pipe()
        self.addCleanup(os.close, one)
        self.addCleanup(os.close, two)
        self.supervisor()
        self.the.start(spec(*program("tells.py"), role="slave", listen=(one, two)))
        await self.handler.until(lambda: bool(self.handler.said(Submit)))
        told = json.loads(self.handler.frames[-1][1])
        self.assertEqual(told["listen"], [6, 7])
        self.assertEqual(told["descriptors"], [0, 1, 2, 3, 4, 6, 7])
        self.assertNotIn("JOBCTL_SENT_FD", told["environment"])
        self.assertIsNone(self.handler.spawned[0].journal)


class StartTests(SupervisionCase):
    async def failure(self, *argv: str, **keys: Any) -> tuple[str, bool]:
        self.supervisor()
        self.the.start(spec(*argv, **keys))
        self.assertEqual(self.handler.failed, [], "not before start() has returned")
        await self.handler.until(lambda: bool(self.handler.failed))
        _, reason, temporary = self.handler.failed[0]
        self.assertEqual(self.handler.spawned, [])
        return reason, temporary

    async def test_missing_program(self) -> None:
        """A program that is not there is a clear reason, and nothing that waiting cures."""
        self.assertEqual(await self.failure("no_such_prog"), ("program no_such_prog was not found", False))

    async def test_not_executable(self) -> None:
        """A file that cannot be executed is named."""
        path = os.path.join(self.directory, "prog")
        open(path, "w").close()
        self.assertEqual(await self.failure(path), (f"program {path} is not an executable file", False))

    async def test_no_program(self) -> None:
        """A channel without a program cannot start one."""
        self.assertEqual(await self.failure(), ("no program is configured", False))

    async def test_nul_in_an_argument(self) -> None:
        """An argument that no program can be given is refused, not cut short."""
        reason, temporary = await self.failure("sh", "a\0b")
        self.assertIn("null byte", reason)
        self.assertFalse(temporary)

    async def test_out_of_descriptors(self) -> None:
        """Without descriptors left a start fails for now, and leaves none open."""
        await deferLater(reactor, 0)  # the reactor's own are open then
        before = len(os.listdir("/proc/self/fd"))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (before + 3, hard))
        try:
            reason, temporary = await self.failure(*program("echo.py"))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertEqual((reason, temporary), ("cannot start the program: Too many open files", True))
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        self.assertEqual(leftovers(os.path.join(self.directory, "sent")), {})

    async def test_stopping_before_it_began(self) -> None:
        """What was asked for and has not begun is not started any more."""
        self.supervisor()
        self.the.start(spec(*program("echo.py")))
        await self.the.stop_all()
        self.assertEqual([failed[1:] for failed in self.handler.failed], [("stopped before it began", True)])

    async def test_starting_while_stopping(self) -> None:
        """Once all is being stopped nothing begins any more, so that stopping comes to an end."""
        self.supervisor()
        await self.the.stop_all()
        self.the.start(spec(*program("echo.py")))
        await self.handler.until(lambda: bool(self.handler.failed))
        self.assertEqual(self.handler.failed[0][1:], ("the controller is stopping", True))

    async def test_without_setsid(self) -> None:
        """Where setsid(1) is missing a program leads its own session all the same."""
        shim = os.path.join(os.path.dirname(child.__file__), "exec_shim.py")
        self.patch(child, "own_session", lambda limits: (sys.executable, "-I", "-S", shim))
        self.supervisor()
        job = await self.started(*program("waits.sh"), asked=False)
        await self.handler.until(lambda: job.hello is not None)
        self.assertEqual(os.getsid(job.pid), job.pid)
        job.stop()
        self.assertEqual((await self.end()).exit_status, 0)

    async def test_what_cannot_be_executed(self) -> None:
        """A file that turns out to be no program is named with the reason."""
        path = os.path.join(self.directory, "prog")
        with open(path, "w") as file:
            file.write("#!/no/such/interpreter\n")
        os.chmod(path, 0o755)
        self.supervisor()
        await self.started(path, asked=False)
        how = await self.end()
        self.assertEqual(how.exit_status, 127)
        self.assertIn(f"failed to execute {path}: No such file or directory", how.text)

    async def test_unknown_transport(self) -> None:
        """A transport that is none is said."""
        reason, temporary = await self.failure("sh", channel=channel(transport="pigeon"))
        self.assertEqual((reason, temporary), ("transport pigeon is not known", False))

    async def test_another_user(self) -> None:
        """A program may run as another user where the daemon is root."""
        if os.geteuid() != 0:
            reason, _ = await self.failure("sh", channel=channel(user="root"))
            self.assertIn("does not run as root", reason)
            return
        self.supervisor()
        script = """printf '{"op":"hello","version":1,"name":"%s"}\\n' $(id -un) >&4; cat <&3 >/dev/null"""
        job = await self.started("sh", "-c", script, asked=False, channel=channel(user="nobody"))
        await self.handler.until(lambda: job.hello is not None)
        self.assertEqual(job.hello.name, "nobody")
        self.assertEqual(os.getsid(job.pid), job.pid)

    async def test_no_such_user(self) -> None:
        """A user that does not exist is named."""
        reason, _ = await self.failure("sh", channel=channel(user="no-such-user"))
        self.assertEqual(reason, "there is no user no-such-user to run as")


class ViolationTests(SupervisionCase):
    async def violation(self, *lines: str) -> str:
        self.supervisor()
        job = await self.started(*program("says.py", *lines))
        if not job.over:
            job.assign(message("e1"), b"Hi\r\n")
        how = await self.end()
        self.assertEqual(how.signal, 9)
        return str(how.text)

    async def test_work_before_hello(self) -> None:
        """Hello comes first."""
        text = await self.violation("rude", '{"op":"ask","n":1}')
        self.assertEqual(text, "broke the protocol: something came before hello")

    async def test_another_version(self) -> None:
        """A program of another version of the protocol is told so."""
        text = await self.violation("rude", '{"op":"hello","version":2,"name":"x"}')
        self.assertEqual(text, "broke the protocol: protocol version 2; this is version 1")

    async def test_second_hello(self) -> None:
        """Hello comes once."""
        text = await self.violation('{"op":"hello","version":1,"name":"x"}')
        self.assertEqual(text, "broke the protocol: a second hello")

    async def test_unknown_op(self) -> None:
        """A frame that is none ends the job."""
        self.assertIn("broke the protocol: not a frame", await self.violation('{"op":"dance"}'))

    async def test_report_of_what_it_does_not_hold(self) -> None:
        """Nobody settles a message that he was not given."""
        text = await self.violation("take", '{"op":"report","id":"e2","verdict":"delivered"}')
        self.assertEqual(text, "broke the protocol: it does not hold 'e2'")

    async def test_sent_of_what_it_does_not_hold(self) -> None:
        """Nor announces its final dot."""
        text = await self.violation("take", '{"op":"sent","id":"e2"}')
        self.assertEqual(text, "broke the protocol: it does not hold 'e2'")

    async def test_verdict_and_status_disagree(self) -> None:
        """A failure with a temporary status is neither: the job ends, the message stays."""
        text = await self.violation("take", '{"op":"report","id":"e1","verdict":"failed","status":"4.4.1"}')
        self.assertIn("does not go with the verdict failed", text)

    async def test_a_handler_may_object(self) -> None:
        """Who handles the frames can end a job in the same way."""

        def object_(job: Any, frame: Any, content: bytes) -> None:
            if isinstance(frame, Event):
                raise ChannelViolation("no events here")

        self.handler.on_frame = object_
        text = await self.violation("take", '{"op":"event","event":"opened"}')
        self.assertEqual(text, "broke the protocol: no events here")

    async def test_a_bug_ends_the_job_alone(self) -> None:
        """An error of our own while handling a frame is logged and ends that job, not the controller."""

        def fail(job: Any, frame: Any, content: bytes) -> None:
            if isinstance(frame, Event):
                raise StoreError("bug")

        self.handler.on_frame = fail
        text = await self.violation("take", '{"op":"event","event":"opened"}')
        self.assertEqual(text, "was ended because of an error in the controller")
        self.assertEqual(len(self.flushLoggedErrors(StoreError)), 1)


class QuickDeathTests(SupervisionCase):
    async def test_gone_before_it_was_seen(self) -> None:
        """A program that is gone before spawnProcess returns ends like any other."""
        self.supervisor()
        real = os.waitpid

        def wait(pid: int, options: int) -> tuple[int, int]:
            # What the reactor asks at the start, asked a little later: the program is gone by then.
            return real(pid, 0)

        self.patch(os, "waitpid", wait)
        self.the.start(spec("sh", "-c", "exit 3"))
        how = await self.end()
        self.patch(os, "waitpid", real)
        self.assertEqual((how.exit_status, self.handler.spawned[0].pid > 0), (3, True))
