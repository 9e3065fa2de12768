"""Any order of work and crashes, against the store in memory as the model."""

import os
import shutil
import tempfile
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from twisted.trial.unittest import SynchronousTestCase

from jobctl.accounts.history import Search
from jobctl.mail.entry import Attempt, Lasting, Loss, Origin, Settlement
from jobctl.mail.envelope import Priority
from jobctl.store.memory import MemoryStore
from jobctl.store.sqlite import SQLiteStore
from tests.store_contract import ANN, BOB, EVE, NOW, PumpReactor, imbalances, new_entry, submission

CHANNELS = st.sampled_from(["tcp_local", "l"])
HOSTS = st.sampled_from(["a.example", "b.example"])
DUES = st.integers(-5, 5).map(lambda seconds: NOW + seconds)
LOSSES = st.lists(
    st.tuples(st.sampled_from([who.address for who in (ANN, BOB, EVE)]), st.sampled_from(Loss)), max_size=3
)
ENTRIES = st.lists(
    st.builds(
        lambda people, channel, host, due, state: new_entry(
            *people, channel=channel, host=host, due=due, state=state
        ),
        st.lists(st.sampled_from([ANN, BOB, EVE]), min_size=1, max_size=3),
        CHANNELS,
        HOSTS,
        DUES,
        st.sampled_from(Lasting),
    ),
    min_size=1,
    max_size=3,
)
SIZES = st.sampled_from([0, 5, 100_000])


class StoreLife(RuleBasedStateMachine):
    """The ids of store and model are compared by position: a crash makes the store skip some."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.top = tempfile.mkdtemp()
        self.directory = os.path.join(self.top, "0")
        self.reactor = PumpReactor()
        self.model = MemoryStore(self.reactor.seconds, retention=1e9)
        self.model.open()
        self.store = SQLiteStore(self.reactor, self.directory, free_space=0, retention=1e9)
        self.store.open()
        self.theirs: dict[str, str] = {}
        self.used: set[str] = set()

    def teardown(self) -> None:
        self.wait(self.store.close())
        shutil.rmtree(self.top)

    def wait(self, deferred: Any) -> Any:
        return self.reactor.wait(deferred)

    def both(self, method: str, text_id: str, *arguments: Any) -> Any:
        result = self.wait(getattr(self.store, method)(text_id, *arguments))
        assert result == self.wait(getattr(self.model, method)(self.theirs[text_id], *arguments))
        return result

    def born(self, ours: list[str], theirs: list[str]) -> None:
        assert len(ours) == len(theirs)
        assert not self.used & set(ours)
        self.used.update(ours)
        self.theirs.update(zip(ours, theirs, strict=True))

    @rule(target=ids, entries=ENTRIES, size=SIZES)
    def enqueue(self, entries: Any, size: int) -> Any:
        message = submission(*entries, content=bytes(size))
        ours = self.wait(self.store.enqueue(message))
        self.born(ours, self.wait(self.model.enqueue(message)))
        return multiple(*ours)

    @rule(
        text_id=ids,
        losses=LOSSES,
        due=st.none() | DUES,
        state=st.none() | st.sampled_from(Lasting),
        notices=st.lists(st.tuples(ENTRIES, SIZES), max_size=2),
        lines=st.integers(0, 60),
    )
    def settle(self, text_id: str, losses: Any, due: Any, state: Any, notices: Any, lines: int) -> None:
        notifications = tuple(
            submission(*entries, content=bytes(size), origin=Origin.GENERATED) for entries, size in notices
        )
        history = tuple(Attempt(when=NOW, what="deferred", text=str(n)) for n in range(lines))
        values = (tuple(losses), due, 3, "450 later", history, notifications, state, None, 1, 2)
        ours = self.wait(self.store.settle(Settlement(text_id, *values)))
        theirs = self.wait(self.model.settle(Settlement(self.theirs[text_id], *values)))
        assert [len(some) for some in ours] == [len(some) for some in theirs]
        self.born([one for some in ours for one in some], [one for some in theirs for one in some])

    @rule(text_id=consumes(ids))
    def deliver(self, text_id: str) -> None:
        losses = tuple((who.address, Loss.DELIVERED) for who in (ANN, BOB, EVE) * 3)
        assert self.wait(self.store.settle(Settlement(text_id, losses))) == []
        assert self.wait(self.model.settle(Settlement(self.theirs[text_id], losses))) == []

    @rule(text_id=ids, channel=CHANNELS, host=HOSTS)
    def move(self, text_id: str, channel: str, host: str) -> None:
        self.both("move", text_id, channel, host)

    @rule(text_id=ids, priority=st.sampled_from(Priority))
    def set_priority(self, text_id: str, priority: Priority) -> None:
        self.both("set_priority", text_id, priority)

    @rule()
    def reopen(self) -> None:
        self.wait(self.store.close())
        self.store.open()

    @rule()
    def crash(self) -> None:
        """What lies on the disk at this moment is all that the next one gets."""
        copy = os.path.join(self.top, str(int(os.path.basename(self.directory)) + 1))
        shutil.copytree(self.directory, copy)
        self.wait(self.store.close())
        self.directory = copy
        self.store = SQLiteStore(self.reactor, self.directory, free_space=0, retention=1e9)
        self.store.open()

    def listed(self, store: Any) -> list[Any]:
        return [
            (stored.state, stored.envelope, stored.last_reply, stored.suspect, stored.deaths)
            for stored in self.wait(store.directory())
        ]

    @invariant()
    def owes_exactly_what_was_accepted(self) -> None:
        assert self.listed(self.store) == self.listed(self.model)

    @invariant()
    def counts_agree_with_entries(self) -> None:
        ledger = self.wait(self.store.ledger())
        assert imbalances(ledger) == {}
        assert ledger == self.wait(self.model.ledger())
        assert self.wait(self.store.summarize()) == self.wait(self.model.summarize())

    @invariant()
    def remembers_what_became_of_recipients(self) -> None:
        ours, theirs = (
            self.wait(store.finished(Search(), 0, 10_000))[0] for store in (self.store, self.model)
        )
        mine = sorted((self.theirs[one.id], one.what, one.recipient) for one in ours)
        assert mine == sorted((one.id, one.what, one.recipient) for one in theirs)

    @invariant()
    def schedule_sees_the_same(self) -> None:
        for after, skip in ((None, []), ((NOW, ""), [("l", "a.example")])):
            ours = self.wait(self.store.window(after, 4, skip))
            theirs = self.wait(self.model.window(after, 4, skip))
            assert [self.theirs[entry.id] for entry in ours] == [entry.id for entry in theirs]

    @invariant()
    def content_and_history_are_whole(self) -> None:
        for stored in self.wait(self.store.directory(limit=2)):
            content = self.wait(self.store.content(stored.message))
            whole = content.read(1 << 20)
            assert len(whole) == stored.entry.size == content.size
            mine = self.wait(self.store.history(stored.entry.id))
            assert mine == self.wait(self.model.history(self.theirs[stored.entry.id]))


@pytest.mark.unmeasured
class StoreLifeTests(StoreLife.TestCase):
    settings = settings(
        max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )


class CrashLeavesNothing(SynchronousTestCase):
    def test_no_files_of_gone_messages(self) -> None:
        """When all mail has left, no content file is left either, also after a restart."""
        directory, reactor = self.mktemp(), PumpReactor()
        store = SQLiteStore(reactor, directory, free_space=0)
        store.open()
        for _ in range(3):
            (text_id,) = reactor.wait(store.enqueue(submission(content=b"x" * 100_000)))
            reactor.wait(store.settle(Settlement(text_id, ((ANN.address, Loss.RELAYED),))))
        reactor.wait(store.close())
        store.open()
        reactor.wait(store.close())
        left = [
            name
            for top in ("content", "staging")
            for _, _, names in os.walk(f"{directory}/{top}")
            for name in names
        ]
        self.assertEqual(left, [])
