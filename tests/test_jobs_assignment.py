"""Assignments, journals, log lines, environments: the parts of supervision that need no child."""

import os
import shutil
import sys
import tempfile
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from jobctl.errors import ChannelViolation
from jobctl.jobprotocol.frames import Report
from jobctl.jobs import exec_shim
from jobctl.jobs.assignment import MAX_REPLY, Assignment
from jobctl.jobs.child import outcome_text, own_session
from jobctl.jobs.environment import CannotStart, find_program, program_environment
from jobctl.jobs.journal import Journal, leftovers, read_journal
from jobctl.jobs.log_lines import MAX_LINE, MAX_RATE, LineLog
from jobctl.mail.disposition import Disposition, Verdict
from tests.jobs_support import message

ANN, BOB = "ann@a.example", "bob@b.example"


class AssignmentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.held = Assignment(message("e1", ANN, BOB))

    def test_one_verdict_for_all(self) -> None:
        """A program may settle all recipients at once."""
        report = Report(id="e1", verdict=Verdict.RELAYED, status="2.0.0")
        self.assertIs(self.held.report(report), report)

    def test_verdicts_one_by_one(self) -> None:
        """Verdicts may come in several reports; together they are one."""
        ann = Disposition(ANN, Verdict.DELIVERED, "2.1.5")
        bob = Disposition(BOB, Verdict.FAILED, "5.1.1", "550 5.1.1 no such user")
        self.assertIsNone(self.held.report(Report(id="e1", results=(ann,))))
        whole = self.held.report(Report(id="e1", results=(bob,), connection=False))
        assert whole is not None
        self.assertEqual((whole.results, whole.connection), ((ann, bob), False))

    def test_the_rest_in_one(self) -> None:
        """After single verdicts one verdict settles the rest."""
        ann = Disposition(ANN, Verdict.DELIVERED)
        self.held.report(Report(id="e1", results=(ann,)))
        whole = self.held.report(Report(id="e1", verdict=Verdict.DEFERRED))
        assert whole is not None
        self.assertEqual((whole.results, whole.verdict), ((ann,), Verdict.DEFERRED))

    def test_violations(self) -> None:
        """What cannot be a verdict ends the job, whatever is wrong with it."""
        ann = Disposition(ANN, Verdict.DELIVERED)
        for report in (
            Report(id="e1", results=(ann, ann)),
            Report(id="e1", results=(Disposition("eve@e.example", Verdict.FAILED),)),
            Report(id="e1", verdict=Verdict.FAILED, status="4.0.0"),
            Report(id="e1", verdict=Verdict.DEFERRED, status="5.0.0"),
            Report(id="e1", verdict=Verdict.RELAYED, status="4.0.0"),
            Report(id="e1", verdict=Verdict.DELIVERED, status="2.0"),
            Report(id="e1", verdict=Verdict.DELIVERED, status="2.0.0\n"),
            Report(id="e1", results=(Disposition(BOB, Verdict.DELIVERED, "5.0.0"),)),
            Report(id="e1", verdict=Verdict.DELIVERED, reply="x" * (MAX_REPLY + 1)),
            Report(id="e1", verdict=Verdict.DEFERRED, scope="world"),
            Report(id="e1", verdict=Verdict.DEFERRED, retry=-1.0),
        ):
            self.assertRaises(ChannelViolation, Assignment(message("e1", ANN, BOB)).report, report)

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.sampled_from([ANN, BOB, "eve@e.example"]), max_size=4))
    def test_nobody_is_forgotten(self, given: list[str]) -> None:
        """Whatever a program settled before it died, every recipient has exactly one verdict."""
        held = Assignment(message("e1", ANN, BOB))
        settled = set()
        for who in given:
            try:
                held.settle(Disposition(who, Verdict.DELIVERED))
            except ChannelViolation:
                self.assertTrue(who in settled or who not in (ANN, BOB))
            else:
                settled.add(who)
        ended = {d.recipient: d.verdict for d in held.ended("died")}
        self.assertEqual(
            ended, {who: Verdict.DELIVERED if who in settled else Verdict.DEFERRED for who in (ANN, BOB)}
        )


class JournalTests(SynchronousTestCase):
    def setUp(self) -> None:
        base = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, base)
        self.directory = os.path.join(base, "sent")

    def test_what_a_former_life_announced(self) -> None:
        """After a restart the journals tell which final dots may have gone; torn lines say nothing."""
        self.assertEqual(leftovers(self.directory), {})
        journal = Journal(self.directory, "j1")
        self.assertFalse(os.get_inheritable(journal.fd))
        for line in (b"e1 1\n", b"e2 3\n", b"e1 1\n", b"\xff\xfe\n", b"e3\n", b"../x 1\n", b"e4 1"):
            os.write(journal.fd, line)
        journal.close()
        self.assertEqual(leftovers(self.directory), {journal.path: {("e1", 1), ("e2", 3)}})
        self.assertEqual(journal.announced(), {("e1", 1), ("e2", 3)})
        self.assertEqual(os.stat(journal.path).st_mode & 0o777, 0o600)

    def test_a_name_used_before(self) -> None:
        """A job that has the name of one not yet settled gets a file of its own."""
        first, second = Journal(self.directory, "j1"), Journal(self.directory, "j1")
        os.write(first.fd, b"e1 1\n")
        second.remove()
        second.remove()
        self.assertEqual(read_journal(second.path), set())
        self.assertEqual(leftovers(self.directory), {first.path: {("e1", 1)}})
        first.remove()


class LineLogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 100.0
        self.lines: list[str] = []
        self.log = LineLog(lambda: self.now, self.lines.append)

    @settings(deadline=None, max_examples=100)
    @given(st.lists(st.sampled_from([b"\n", b"ab", b"\xc3", b"\xa9", b"x" * 5000]), max_size=20), st.data())
    def test_cuts_do_not_matter(self, parts: list[bytes], data: st.DataObject) -> None:
        """The lines do not depend on where the octets were cut."""
        octets = b"".join(parts)
        cut = data.draw(st.integers(0, len(octets)))
        whole: list[str] = []
        pieces: list[str] = []
        for taken, feeds in ((whole, [octets]), (pieces, [octets[:cut], octets[cut:]])):
            log = LineLog(lambda: 0.0, taken.append)
            for feed in feeds:
                log.feed(feed)
            log.close()
        self.assertEqual(whole, pieces)

    def test_bounds(self) -> None:
        """Long lines lose their end, and say so; a line left open at the end counts."""
        self.log.feed(b"x" * (MAX_LINE + 10) + b"\nshort\r\nopen")
        self.log.close()
        self.assertEqual(self.lines, ["x" * MAX_LINE + " [cut]", "short", "open"])
        self.assertEqual(self.log.last, "open")

    def test_control_characters(self) -> None:
        """Nothing a program writes can move the cursor of who reads the log."""
        self.log.feed(b"a\x1b[2Jb\tc\x00\x9b\n")
        self.assertEqual(self.lines, ["a\\x1b[2Jb\tc\\x00\\x9b"])

    def test_rate(self) -> None:
        """Of a flood the first lines are logged and the rest is counted."""
        self.log.feed(b"y\n" * (MAX_RATE + 500))
        self.log.feed(b"y\n" * 100)
        self.assertEqual(len(self.lines), MAX_RATE)
        self.now += 1
        self.log.feed(b"calm\n")
        self.assertEqual(
            self.lines[MAX_RATE:], [f"[600 lines left out: more than {MAX_RATE} a second]", "calm"]
        )


class EnvironmentTests(SynchronousTestCase):
    def test_allow_list(self) -> None:
        """Only what is on the list reaches a program; its own variables win."""
        ours = {
            "PATH": "/bin",
            "LC_ALL": "C",
            "AWS_SECRET": "x",
            "LD_PRELOAD": "y",
            "TRANSPORTINFO": "z",
            "TZ": "UTC",
        }
        made = program_environment(ours, {"TZ": "CET"})
        path = os.path.dirname(sys.executable) + os.pathsep + "/bin"
        self.assertEqual(made, {"PATH": path, "LC_ALL": "C", "TZ": "CET"})

    def test_lookup(self) -> None:
        """Programs of the virtual environment are found without activating it."""
        name = os.path.basename(sys.executable)
        self.assertEqual(
            find_program(name, program_environment({}, {})["PATH"]), os.path.abspath(sys.executable)
        )
        self.assertRaises(CannotStart, find_program, "", "/bin")

    def test_outcomes_in_words(self) -> None:
        """How a program ended is said in words."""
        self.assertEqual(outcome_text(0, None, "bye"), "exited with status 0")
        self.assertEqual(outcome_text(1, None, "no route"), "exited with status 1: no route")
        self.assertEqual(outcome_text(None, 15, ""), "was killed by SIGTERM")
        self.assertEqual(outcome_text(None, 250, ""), "was killed by signal 250")

    def test_session_without_setsid(self) -> None:
        """Where setsid(1) is missing a script of ours takes its place."""
        with mock.patch("shutil.which", return_value=None):
            words = own_session()
        self.assertEqual(words[0], sys.executable)
        with (
            mock.patch("os.setsid") as setsid,
            mock.patch("os.execv") as execv,
        ):
            exec_shim.main(["/bin/prog", "-x"])
        setsid.assert_called_once_with()
        execv.assert_called_once_with("/bin/prog", ["/bin/prog", "-x"])
