"""A store whose database can be changed behind its back."""

import os
import sqlite3
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from jobctl.store.sqlite import SQLiteStore
from tests.store_contract import PumpReactor, submission


class DamageCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = self.mktemp()
        self.reactor = PumpReactor()
        self.store = SQLiteStore(self.reactor, self.directory, free_space=0)
        self.store.open()
        self.addCleanup(lambda: self.reactor.wait(self.store.close()))

    def wait(self, deferred: Any) -> Any:
        return self.reactor.wait(deferred)

    def enqueue(self, *entries: Any, **more: Any) -> list[str]:
        found: list[str] = self.wait(self.store.enqueue(submission(*entries, **more)))
        return found

    def damage(self, sql: str, *given: Any) -> None:
        """Change the database behind the store's back, which is closed meanwhile."""
        self.wait(self.store.close())
        connection = sqlite3.connect(os.path.join(self.directory, "queue.db"), isolation_level=None)
        self.assertEqual(connection.execute(sql, given).rowcount, 1)
        connection.close()
        self.store.open()

    def files(self, top: str = "content") -> list[str]:
        found = os.walk(os.path.join(self.directory, top))
        return [os.path.join(path, name) for path, _, names in found for name in names]

    def settled(self) -> None:
        """All that was begun without anybody waiting is done."""
        self.wait(self.store.damaged())
        self.wait(self.store.set_stopped("x", False, ""))
