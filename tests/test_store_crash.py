"""A real process with the queue open, killed at any moment: what it was told is committed is there."""

import os
import random
import signal
import subprocess
import sys
from typing import Any
from zlib import crc32

from twisted.trial.unittest import SynchronousTestCase

from jobctl.errors import StoreBusy
from jobctl.store.sqlite import SQLiteStore
from tests.store_contract import PumpReactor, imbalances

_TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Enqueues in batches, small and large, and settles half of what it has; says so after the fact
# ("kept ID CRC"), and before the fact where the outcome is open at a crash ("settling ID").
WORKER = """
import random, sys
from zlib import crc32
from jobctl.mail.entry import Loss, Settlement
from jobctl.store.sqlite import SQLiteStore
from tests.store_contract import ANN, BOB, PumpReactor, delivered, new_entry, submission

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

reactor = PumpReactor()
store = SQLiteStore(reactor, sys.argv[1], free_space=0)
store.open()
say("open")
chance = random.Random(int(sys.argv[2]))
mine = []
while True:
    sizes = chance.choices([0, 10, 4096, 4096, 70000], k=chance.randint(1, 20))
    contents = [chance.randbytes(size) for size in sizes]
    entries = new_entry(ANN), new_entry(BOB, channel="l")
    calls = [store.enqueue(submission(*entries, content=content)) for content in contents]
    leaving, mine = mine[::2], mine[1::2]
    for text_id in leaving:
        say("settling", text_id)
    settles = [store.settle(delivered(text_id, ANN, BOB)) for text_id in leaving]
    for call, content in zip(calls, contents):
        for text_id in reactor.wait(call):
            say("kept", text_id, crc32(content))
            mine.append(text_id)
    for call, text_id in zip(settles, leaving):
        reactor.wait(call)
        say("settled", text_id)
"""


class KillTests(SynchronousTestCase):
    def start(self, directory: str, seed: int) -> "subprocess.Popen[str]":
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([_TOP, *sys.path])}
        command = [sys.executable, "-c", WORKER, directory, str(seed)]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self.addCleanup(self.end, worker)
        return worker

    def end(self, worker: "subprocess.Popen[str]") -> list[str]:
        """Kill it; what it still said."""
        assert worker.stdout is not None
        worker.send_signal(signal.SIGKILL)
        rest = worker.stdout.read() if not worker.stdout.closed else ""
        worker.wait()
        worker.stdout.close()
        return [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]

    def test_killed_at_any_moment(self) -> None:
        """After kill -9, time and again, all acknowledged mail is there, whole, under its id."""
        directory = os.path.abspath(self.mktemp())
        chance = random.Random(20)
        kept: dict[str, int] = {}
        settling: set[str] = set()
        settled: set[str] = set()
        for run in range(4):
            worker = self.start(directory, run)
            assert worker.stdout is not None
            said = [worker.stdout.readline() for _ in range(chance.randint(1, 600))]
            said += self.end(worker)
            for line in said:
                match line.split():
                    case ["kept", text_id, crc]:
                        self.assertNotIn(text_id, kept)
                        kept[text_id] = int(crc)
                    case ["settling", text_id]:
                        settling.add(text_id)
                    case ["settled", text_id]:
                        settled.add(text_id)
            self.check(directory, kept, settling, settled)
        self.assertGreater(len(kept), 100)

    def check(self, directory: str, kept: dict[str, int], settling: set[str], settled: set[str]) -> None:
        reactor = PumpReactor()
        store = SQLiteStore(reactor, directory, free_space=0)
        store.open()
        there = {stored.entry.id: stored for stored in reactor.wait(store.directory())}
        self.assertEqual(set(kept) - settling - set(there), set())
        self.assertEqual(settled & set(there), set())
        self.assertEqual(imbalances(reactor.wait(store.ledger())), {})
        for text_id, stored in there.items():
            content: Any = reactor.wait(store.content(stored.message))
            whole = content.read(1 << 20)
            content.close()
            self.assertEqual(len(whole), stored.entry.size)
            if text_id in kept:
                self.assertEqual(crc32(whole), kept[text_id])
        named = len({stored.message for stored in there.values() if stored.entry.size > 65536})
        reactor.wait(store.close())
        files = [
            name
            for top in ("content", "staging")
            for _, _, names in os.walk(f"{directory}/{top}")
            for name in names
        ]
        self.assertEqual(len(files), named)

    def test_two_processes(self) -> None:
        """A second controller on a queue is refused and told whose it is; after a kill it may."""
        directory = os.path.abspath(self.mktemp())
        worker = self.start(directory, 1)
        assert worker.stdout is not None
        self.assertEqual(worker.stdout.readline(), "open\n")
        reactor = PumpReactor()
        store = SQLiteStore(reactor, directory, free_space=0)
        with self.assertRaises(StoreBusy) as caught:
            store.open()
        self.assertIn(f"process {worker.pid}", str(caught.exception))
        self.end(worker)
        store.open()
        reactor.wait(store.close())
