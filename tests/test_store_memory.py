"""The fake keeps the same promises as the real store."""

from twisted.trial.unittest import SynchronousTestCase

from jobctl.errors import StoreError, StoreFull
from jobctl.store.memory import MemoryDisk, MemoryStore
from tests.store_contract import MessageStoreContract, PumpReactor, submission


class MemoryStoreTests(MessageStoreContract, SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        super().setUp()

    def make_store(self) -> MemoryStore:
        return MemoryStore(self.reactor.seconds, self.disk)


class MemoryStoreFaultTests(SynchronousTestCase):
    def test_injected_fault(self) -> None:
        """A test can make changes fail as a full disk would; then nothing was kept."""

        def fault() -> None:
            raise StoreFull("no room")

        store = MemoryStore(PumpReactor().seconds, fault=fault)
        store.open()
        self.failureResultOf(store.enqueue(submission()), StoreFull)
        self.assertEqual(self.successResultOf(store.directory()), [])
        self.failureResultOf(store.content(1), StoreError)
