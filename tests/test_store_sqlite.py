"""The store on SQLite keeps the contract."""

from twisted.trial.unittest import SynchronousTestCase

from jobctl.store.sqlite import SQLiteStore
from tests.store_contract import MessageStoreContract


class SQLiteStoreTests(MessageStoreContract, SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = self.mktemp()
        super().setUp()

    def make_store(self) -> SQLiteStore:
        return SQLiteStore(self.reactor, self.directory, free_space=0)
