"""The queue is open to commands while the daemon is down."""

import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from jobctl.errors import StoreBusy, StoreError
from jobctl.mail.entry import Attempt, Settlement
from jobctl.store.offline import OfflineQueue
from jobctl.store.sqlite import SQLiteStore
from tests.store_contract import ANN, BOB, NOW, PumpReactor, new_entry, submission


class OfflineQueueTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = self.mktemp()
        self.reactor = PumpReactor()
        self.store = SQLiteStore(self.reactor, self.directory, free_space=0)
        self.store.open()
        (self.first,) = self.reactor.wait(self.store.enqueue(submission()))
        (self.second,) = self.reactor.wait(self.store.enqueue(submission(new_entry(BOB, channel="l"))))

    def queue(self) -> OfflineQueue:
        return OfflineQueue(self.directory, lambda: NOW + 5)

    def test_same_answers_as_the_daemon(self) -> None:
        """Lists, history and counts are the same whether the daemon runs or not."""
        line = Attempt(when=NOW, what="deferred", text="later")
        self.reactor.wait(self.store.settle(Settlement(self.first, due=NOW + 9, history=(line,))))
        summary = self.reactor.wait(self.store.summarize())
        listed = self.reactor.wait(self.store.directory())
        ledger = self.reactor.wait(self.store.ledger())
        self.reactor.wait(self.store.close())
        with self.queue() as queue:
            self.assertEqual(queue.summarize(), summary)
            self.assertEqual(queue.directory(), listed)
            self.assertEqual(
                [s.entry.id for s in queue.directory(channel="l", held=False, limit=1)], [self.second]
            )
            self.assertEqual(queue.directory(after=self.second), [])
            self.assertEqual(queue.history(self.first), [line])
            self.assertEqual(queue.ledger(), ledger)
            self.assertEqual(queue.damaged(), [])

    def test_stopping_a_channel(self) -> None:
        """A channel stopped or started with the daemon down is so when it runs again."""
        self.reactor.wait(self.store.set_stopped("l", True, "bob"))
        self.reactor.wait(self.store.close())
        with self.queue() as queue:
            queue.set_stopped("tcp_local", True, "ann")
            queue.set_stopped("l", False, "ann")
            queue.note("ann", 1000, "stop", "tcp_*", "tcp_local")
            queue.note("ann", 1000, "start", "l", "l")
            self.assertEqual([act.number for act in queue.acts()], [2, 1])
            self.assertEqual(queue.stopped(), {"tcp_local": ("ann", NOW + 5)})
        self.store.open()
        self.assertEqual(self.reactor.wait(self.store.stopped()), {"tcp_local": ("ann", NOW + 5)})
        self.assertEqual(self.reactor.wait(self.store.fetch([self.first]))[0].envelope.recipients, (ANN,))
        acts = [(act.who, act.what, act.subject, act.text) for act in self.reactor.wait(self.store.acts())]
        self.assertEqual(acts, [("ann", "start", "l", "l"), ("ann", "stop", "tcp_*", "tcp_local")])
        self.reactor.wait(self.store.close())

    def test_refused_while_the_daemon_runs(self) -> None:
        """While the daemon has the queue, nothing is touched and its process is told."""
        program = (
            "import sys, time; from jobctl.store.offline import OfflineQueue\n"
            "with OfflineQueue(sys.argv[1], time.time) as queue: queue.set_stopped('l', True, 'x')"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        run = subprocess.run(
            [sys.executable, "-c", program, self.directory], capture_output=True, text=True, env=environment
        )
        self.assertIn("StoreBusy", run.stderr)
        self.assertIn(f"process {os.getpid()}", run.stderr)
        with self.assertRaises(StoreBusy):
            self.queue().__enter__()
        self.assertEqual(self.reactor.wait(self.store.stopped()), {})
        self.reactor.wait(self.store.close())

    def test_no_queue(self) -> None:
        """Where no daemon ever ran there is no queue, and none is made."""
        self.reactor.wait(self.store.close())
        missing = self.mktemp()
        with self.assertRaises(StoreError), OfflineQueue(missing, lambda: NOW):
            pass
        self.assertFalse(os.path.exists(missing))
