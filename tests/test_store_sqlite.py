"""The store on SQLite keeps the contract, and shares commits."""

import sqlite3
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from jobctl.store import reading
from jobctl.store.changes import Changes
from jobctl.store.sqlite import SQLiteStore
from tests.store_contract import ANN, NOW, MessageStoreContract, delivered, new_entry, submission


class SQLiteStoreTests(MessageStoreContract, SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = self.mktemp()
        super().setUp()

    def make_store(self) -> SQLiteStore:
        return SQLiteStore(self.reactor, self.directory, free_space=0)

    def count_commits(self) -> list[Any]:
        commits: list[Any] = []
        apply = Changes.apply

        def counted(changes: Changes, connection: Any) -> None:
            commits.append(changes)
            apply(changes, connection)

        self.patch(Changes, "apply", counted)
        return commits

    def test_one_commit_for_all_of_a_turn(self) -> None:
        """What is asked for in one turn of the reactor is one commit, one sync."""
        commits = self.count_commits()
        calls = [self.store.enqueue(submission()) for _ in range(50)]
        for call in calls:
            self.wait(call)
        self.assertEqual(len(commits), 1)

    def test_results_share_the_commit_of_mail_coming_in(self) -> None:
        """Results wait some milliseconds for mail that comes in, which does not wait for anything."""
        first, second = self.enqueue()[0], self.enqueue()[0]
        commits = self.count_commits()
        settling = self.store.settle(delivered(first))
        self.reactor.advance(0.001)
        self.assertEqual(commits, [])
        arriving = self.store.enqueue(submission())
        self.wait(arriving)
        self.wait(settling)
        self.assertEqual(len(commits), 1)
        alone = self.store.settle(delivered(second))
        self.reactor.advance(0.01)
        self.wait(alone)
        self.assertEqual(len(commits), 2)

    def test_deadlines_go_with_their_entries(self) -> None:
        """Nothing is left of a deadline whose entry has gone; mail without one is written as ever."""
        (timed,), (plain,) = self.enqueue(new_entry(ANN, deadline=NOW + 60)), self.enqueue()
        self.settle(delivered(timed))
        self.settle(delivered(plain))
        connection = sqlite3.connect(f"{self.directory}/queue.db")
        self.assertEqual(connection.execute("SELECT count(*) FROM deadlines").fetchone(), (0,))
        connection.close()

    def test_many_results_do_not_wait(self) -> None:
        """Results that are many enough for a commit of their own are committed at once."""
        ids = [self.enqueue()[0] for _ in range(100)]
        calls = [self.store.settle(delivered(text_id)) for text_id in ids]
        self.assertEqual(
            [call.getTime() for call in self.reactor.getDelayedCalls()], [self.reactor.seconds()]
        )
        self.assertEqual([self.wait(call) for call in calls], [[]] * 100)

    def test_a_look_at_one_entry_costs_the_same_however_many_there_are(self) -> None:
        """Counted in steps of SQLite's machine: rows are found by their keys alone."""
        steps = []
        ids = [self.enqueue()[0] for _ in range(10)]
        for more in (0, 1500):
            for _ in range(more // 50):
                calls = [self.store.enqueue(submission()) for _ in range(50)]
                ids += [self.wait(call)[0] for call in calls]
            connection = sqlite3.connect(f"{self.directory}/queue.db")
            count = 0

            def step() -> None:
                nonlocal count
                count += 1

            connection.text_factory = bytes
            connection.set_progress_handler(step, 1)
            looks, _ = reading.inspect(connection, ids[-1])
            connection.close()
            self.assertEqual(looks[0][0].entry.id, ids[-1])
            steps.append(count)
        self.assertLess(steps[1], steps[0] + 20)

    def test_more_than_is_remembered(self) -> None:
        """Entries that the writer does not remember any more are settled as others."""
        import jobctl.store.planner as planner

        self.patch(planner, "_REMEMBERED", 5)
        ids = [self.enqueue()[0] for _ in range(20)]
        for text_id in ids:
            self.settle(delivered(text_id))
        self.assertEqual(self.ledger(), {"accepted": 20, "delivered": 20})
