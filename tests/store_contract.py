"""What every IMessageStore promises; run by test_store_memory.py and test_store_sqlite.py."""

import queue
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from jobctl.errors import StoreBusy, StoreError, StoreFull
from jobctl.interfaces import IContent, IMessageStore, IStagedContent
from jobctl.mail.entry import Attempt, Lasting, Loss, NewEntry, Origin, Settlement, StoredEntry, Submission
from jobctl.mail.envelope import DeliverBy, Envelope, Priority, Recipient, Source
from tests.store_operators import OperatorContract

ANN = Recipient("ann@a.example")
BOB = Recipient("bob@b.example", notify="SUCCESS,DELAY", orcpt="rfc822;bob@b.example")
EVE = Recipient("eve@e.example")
SOURCE = Source("tcp_local", "TCP|192.0.2.1|25|192.0.2.2|7777", "SMTP/client.example")
NOW = 1_760_000_000.25


class PumpReactor(Clock):
    """A reactor for one test: threads' calls are made while :meth:`wait` waits."""

    def __init__(self) -> None:
        super().__init__()
        self.rightNow = NOW
        self._calls: queue.SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]]] = queue.SimpleQueue()

    def callFromThread(self, call: Callable[..., object], *arguments: Any) -> None:
        self._calls.put((call, arguments))

    def wait(self, deferred: "Deferred[Any]") -> Any:
        """What the Deferred fires with; raises what it fails with."""
        results: list[Any] = []
        deferred.addBoth(results.append)
        while not results:
            for call in self.getDelayedCalls():
                call.reset(0)
            self.advance(0)
            if not results:
                call, arguments = self._calls.get(timeout=30)
                call(*arguments)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]


def new_entry(
    *recipients: Recipient, channel: str = "tcp_local", host: str = "a.example", **more: Any
) -> NewEntry:
    values: dict[str, Any] = {"priority": Priority.NORMAL, "due": NOW} | more
    return NewEntry(channel=channel, host=host, recipients=recipients, **values)


def submission(*entries: NewEntry, content: Any = b"Subject: x\r\n\r\nHi\r\n", **more: Any) -> Submission:
    """A message; without entries one to ann at a.example."""
    entries = entries or (new_entry(ANN),)
    everybody = tuple(recipient for entry in entries for recipient in entry.recipients)
    size = len(content) if isinstance(content, bytes) else content.size
    values: dict[str, Any] = {"source": SOURCE, "envelope_id": "0XYZ", "arrived": NOW} | more
    values.setdefault("envelope", Envelope("sender@s.example", everybody, ret="HDRS", envid="QQ314159"))
    return Submission(content=content, size=size, entries=entries, **values)


def delivered(text_id: str, *recipients: Recipient, **more: Any) -> Settlement:
    return Settlement(text_id, tuple((who.address, Loss.DELIVERED) for who in recipients or (ANN,)), **more)


def imbalances(ledger: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """Channels where what came in is not what left or waits."""
    return {
        channel: account
        for channel, account in ledger.items()
        if account["accepted"] + account["generated"]
        != account["queued"] + sum(account[loss.value] for loss in Loss)
    }


class MessageStoreContract(OperatorContract):
    """Mixed into a TestCase that says how to open a store; opening another is a restart."""

    reactor: PumpReactor
    entry = staticmethod(new_entry)
    submission = staticmethod(submission)

    def setUp(self) -> None:
        self.reactor = PumpReactor()
        self.store = self.open_store()
        self.addCleanup(lambda: self.wait(self.store.close()))  # type: ignore[attr-defined]

    def make_store(self) -> Any:
        """A store on this test's queue, not yet open."""
        raise NotImplementedError

    def open_store(self) -> Any:
        store = self.make_store()
        store.open()
        return store

    def reopen(self) -> None:
        self.wait(self.store.close())
        self.store = self.open_store()

    def wait(self, deferred: "Deferred[Any]") -> Any:
        return self.reactor.wait(deferred)

    def enqueue(self, *entries: NewEntry, **more: Any) -> list[str]:
        found: list[str] = self.wait(self.store.enqueue(submission(*entries, **more)))
        return found

    def settle(self, settlement: Settlement) -> Any:
        return self.wait(self.store.settle(settlement))

    def one(self, text_id: str) -> Any:
        """The entry, or ``None``."""
        found = self.wait(self.store.fetch([text_id]))
        return found[0] if found else None

    def read_content(self, message: int, count: int = 1 << 20) -> bytes:
        content = self.wait(self.store.content(message))
        verifyObject(IContent, content)
        pieces = []
        while piece := content.read(count):
            pieces.append(piece)
        content.close()
        content.close()
        return b"".join(pieces)

    def ledger(self, channel: str = "tcp_local") -> dict[str, int]:
        ledger = self.wait(self.store.ledger())
        self.assertEqual(imbalances(ledger), {})
        return {name: count for name, count in ledger[channel].items() if count}

    def due_ids(self, after: Any = None, limit: int = 100, skip: Any = ()) -> list[str]:
        return [entry.id for entry in self.wait(self.store.window(after, limit, skip))]

    assertEqual: Any
    assertRaises: Any
    assertTrue: Any
    assertFalse: Any
    assertIsNone: Any

    def test_interface(self) -> None:
        """It provides the interface, signatures included."""
        verifyObject(IMessageStore, self.store)

    def test_accepted_mail_survives_reopening(self) -> None:
        """What was accepted is there after a restart, word for word."""
        first, second = self.enqueue(new_entry(ANN, BOB), new_entry(EVE, host="e.example"))
        self.reopen()
        stored = self.one(first)
        self.assertEqual(stored.envelope.recipients, (ANN, BOB))
        self.assertEqual(
            (stored.envelope.sender, stored.envelope.ret, stored.envelope.envid),
            ("sender@s.example", "HDRS", "QQ314159"),
        )
        self.assertEqual((stored.source, stored.envelope_id, stored.state), (SOURCE, "0XYZ", Lasting.QUEUED))
        entry = stored.entry
        self.assertEqual((entry.id, entry.channel, entry.host), (first, "tcp_local", "a.example"))
        self.assertEqual((entry.priority, entry.size, entry.attempts), (Priority.NORMAL, 18, 0))
        self.assertEqual((entry.enqueued, entry.due), (NOW, NOW))
        self.assertEqual(self.one(second).envelope.recipients, (EVE,))
        self.assertEqual(self.read_content(stored.message), b"Subject: x\r\n\r\nHi\r\n")
        self.assertEqual(self.one(second).message, stored.message)

    def test_ids_are_never_used_again(self) -> None:
        """An id names one entry for ever, also when that is gone and the store was reopened."""
        seen: list[str] = []
        for _ in range(3):
            seen += self.enqueue() + self.enqueue(new_entry(ANN), new_entry(BOB, host="b.example"))
            for text_id in seen:
                self.settle(Settlement(text_id, ((ANN.address, Loss.DELETED), (BOB.address, Loss.DELETED))))
            self.reopen()
        self.assertEqual(len(set(seen)), 9)
        for text_id in seen:
            self.assertTrue(text_id[0].isalpha() and text_id.isalnum() and text_id.isascii(), text_id)
            self.assertIsNone(self.one(text_id))

    def test_content_in_pieces(self) -> None:
        """Content that comes in pieces, small or large, is read back as it was written."""
        for size in (0, 1, 65536, 65537, 300_000):
            staged = self.store.stage()
            verifyObject(IStagedContent, staged)
            whole = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
            for start in range(0, size, 50_000):
                staged.write(whole[start : start + 50_000])
            self.assertEqual((staged.size, staged.lines), (size, whole.count(b"\n")))
            (text_id,) = self.enqueue(content=staged)
            staged.discard()
            stored = self.one(text_id)
            self.assertEqual(stored.entry.size, size)
            self.assertEqual(self.read_content(stored.message, 7777), whole)

    def test_large_content_in_one_piece(self) -> None:
        """Content of any size may be given whole."""
        whole = b"0123456789abcdef" * 20_000
        (text_id,) = self.enqueue(content=whole)
        self.reopen()
        self.assertEqual(self.read_content(self.one(text_id).message), whole)

    def test_discarded_content_cannot_be_enqueued(self) -> None:
        """Content that was discarded, or enqueued before, makes no message."""
        for size in (10, 100_000):
            staged = self.store.stage()
            staged.write(b"x" * size)
            staged.discard()
            staged.discard()
            with self.assertRaises(StoreError):
                self.enqueue(content=staged)
            with self.assertRaises(StoreError):
                staged.write(b"y")
        staged = self.store.stage()
        staged.write(b"x")
        self.enqueue(content=staged)
        with self.assertRaises(StoreError):
            self.enqueue(content=staged)

    def test_content_of_a_gone_message(self) -> None:
        """The content goes with the last entry that shares it, and not before."""
        for content in (b"small", b"large" * 50_000):
            first, second = self.enqueue(new_entry(ANN), new_entry(BOB, host="b.example"), content=content)
            message = self.one(first).message
            self.settle(delivered(first))
            self.assertEqual(self.read_content(message), content)
            self.settle(delivered(second, BOB))
            with self.assertRaises(StoreError):
                self.wait(self.store.content(message))

    def test_entries_with_their_contents(self) -> None:
        """Many entries come with their small contents in one go; large content is opened on its own."""
        contents = [b"", b"one", bytes(range(256)) * 256, b"large" * 20_000, b"\0\0", b"last\xff"]
        ids = [self.enqueue(content=content)[0] for content in contents]
        ids += self.enqueue(new_entry(ANN), new_entry(BOB), content=b"shared")
        found = self.wait(self.store.fetch_whole([*ids, "Qgone"]))
        expected = [content if len(content) <= 65536 else None for content in contents] + [b"shared"] * 2
        self.assertEqual(
            {entry.entry.id: content for entry, content in found}, dict(zip(ids, expected, strict=True))
        )
        self.assertEqual(self.wait(self.store.fetch_whole([])), [])

    def test_partial_settlement(self) -> None:
        """Recipients that are done leave, all others stay with the new due time and attempts."""
        (text_id,) = self.enqueue(new_entry(ANN, BOB, EVE))
        line = Attempt(when=NOW, what="deferred", text="450 4.2.1 later", recipient=EVE.address, job="7")
        result = self.settle(
            Settlement(
                text_id,
                ((ANN.address, Loss.DELIVERED), (BOB.address, Loss.FAILED)),
                due=NOW + 600.5,
                attempts=1,
                last_reply="450 4.2.1 later",
                history=(line,),
                suspect=2,
                deaths=1,
            )
        )
        self.assertEqual(result, [])
        self.reopen()
        stored = self.one(text_id)
        self.assertEqual(stored.envelope.recipients, (EVE,))
        self.assertEqual((stored.entry.due, stored.entry.attempts), (NOW + 600.5, 1))
        self.assertEqual((stored.last_reply, stored.suspect, stored.deaths), ("450 4.2.1 later", 2, 1))
        self.assertEqual(self.wait(self.store.history(text_id)), [line])
        self.assertEqual(self.ledger(), {"accepted": 3, "delivered": 1, "failed": 1, "queued": 1})

    def test_losses_of_strangers_count_for_nothing(self) -> None:
        """A loss of somebody who is no open recipient changes nothing; who is there twice leaves twice."""
        (text_id,) = self.enqueue(new_entry(ANN, BOB, ANN))
        self.settle(delivered(text_id, EVE, ANN))
        self.assertEqual(
            sorted(who.address for who in self.one(text_id).envelope.recipients), [ANN.address, BOB.address]
        )
        self.settle(delivered(text_id, ANN))
        self.assertEqual(self.one(text_id).envelope.recipients, (BOB,))
        self.settle(delivered(text_id, ANN))
        self.assertEqual(self.ledger(), {"accepted": 3, "delivered": 2, "queued": 1})

    def test_settling_what_is_gone(self) -> None:
        """An entry that is gone stays gone: nothing is queued, counted or remembered for it."""
        (text_id,) = self.enqueue()
        self.settle(delivered(text_id))
        again = delivered(text_id, notifications=(submission(origin=Origin.GENERATED),))
        self.assertEqual(self.settle(again), [])
        for nonsense in ("", "Q", "Q0", "nonsense", "Qé", "Q" + "Z" * 40):
            self.assertEqual(self.settle(delivered(nonsense)), [])
        self.assertFalse(self.wait(self.store.move(text_id, "l", "")))
        self.assertFalse(self.wait(self.store.set_priority(text_id, Priority.URGENT)))
        self.assertEqual(self.wait(self.store.history(text_id)), [])
        self.assertEqual(self.due_ids(), [])
        self.assertEqual(self.ledger(), {"accepted": 1, "delivered": 1})

    def test_notifications_come_with_the_settlement(self) -> None:
        """Notifications are queued with the settlement that causes them; their ids are told."""
        (text_id,) = self.enqueue(new_entry(ANN, BOB))
        told = new_entry(EVE, channel="l", host="")
        large = submission(told, new_entry(ANN), content=b"report" * 20_000, origin=Origin.GENERATED)
        notices = (submission(told, origin=Origin.GENERATED), large)
        ids = self.settle(
            Settlement(
                text_id, ((ANN.address, Loss.FAILED), (BOB.address, Loss.EXPIRED)), notifications=notices
            )
        )
        self.assertEqual([len(some) for some in ids], [1, 2])
        self.reopen()
        self.assertIsNone(self.one(text_id))
        self.assertEqual(self.one(ids[0][0]).envelope.recipients, (EVE,))
        self.assertEqual(self.read_content(self.one(ids[1][0]).message), b"report" * 20_000)
        self.assertEqual(self.ledger("l"), {"generated": 2, "queued": 2})
        self.assertEqual(
            self.ledger(), {"accepted": 2, "generated": 1, "failed": 1, "expired": 1, "queued": 1}
        )

    def test_changes_are_applied_in_the_order_of_calls(self) -> None:
        """Calls made one after the other without waiting act one after the other."""
        (text_id,) = self.enqueue()
        calls = [
            self.store.settle(
                Settlement(text_id, due=NOW + place, history=(Attempt(NOW, "try", str(place)),))
            )
            for place in range(20)
        ]
        calls += [self.store.move(text_id, "l", ""), self.store.settle(delivered(text_id))]
        calls += [self.store.move(text_id, "tcp_local", "x")]
        self.assertEqual([self.wait(call) for call in calls], [[]] * 20 + [True, [], False])
        self.assertEqual(self.ledger("l"), {"accepted": 1, "delivered": 1})

    def test_held_and_released(self) -> None:
        """A held entry keeps its reason, is not handed out, and comes back when it is released."""
        (text_id,) = self.enqueue()
        (born_held,) = self.enqueue(new_entry(ANN, state=Lasting.HELD, reason="too many recipients"))
        self.settle(Settlement(text_id, state=Lasting.HELD, reason="the operator said so"))
        self.reopen()
        self.assertEqual(self.one(text_id).reason, "the operator said so")
        self.assertEqual(self.one(born_held).reason, "too many recipients")
        self.assertEqual(self.due_ids(), [])
        held = self.wait(self.store.directory(held=True))
        self.assertEqual([stored.entry.id for stored in held], [text_id, born_held])
        self.settle(Settlement(text_id, state=Lasting.QUEUED, due=NOW - 1))
        self.assertEqual(self.due_ids(), [text_id])
        self.assertEqual(self.wait(self.store.summarize())["tcp_local"], (1, 0, 1, 36, NOW))

    def test_age_stands_still_while_held(self) -> None:
        """How long it was held, and of what delay its sender was told, is kept with each entry."""
        (text_id,) = self.enqueue()
        (later,) = self.enqueue(new_entry(ANN, due=NOW + 5, paused=5.5))
        self.settle(Settlement(text_id, warned=86400.0))
        self.settle(Settlement(text_id, state=Lasting.HELD, reason="x"))
        self.reopen()
        held = self.one(text_id)
        self.assertEqual((held.entry.warned, held.entry.paused), (86400.0, 0.0))
        self.assertGreater(held.held_since, 0.0)
        self.settle(Settlement(text_id, state=Lasting.HELD, reason="y"))
        self.assertEqual(self.one(text_id).held_since, held.held_since)
        self.settle(Settlement(text_id, state=Lasting.QUEUED, reason="", due=NOW))
        self.assertEqual(self.one(text_id).held_since, 0.0)
        self.reopen()
        found = {entry.id: entry for entry in self.wait(self.store.window(None, 10, []))}
        self.assertEqual(found[text_id].warned, 86400.0)
        self.assertGreaterEqual(found[text_id].paused, 0.0)
        self.assertEqual((found[later].paused, found[later].warned), (5.5, 0.0))
        (born_held,) = self.enqueue(new_entry(ANN, state=Lasting.HELD))
        self.assertEqual(self.one(born_held).held_since, NOW)

    def test_deadlines(self) -> None:
        """By when an entry is to be delivered is kept with it, found when it has passed, and goes with it."""
        by = DeliverBy(60, "R", True, NOW + 60)
        first, second = self.enqueue(
            new_entry(ANN, deadline=NOW + 60, returns=True),
            new_entry(BOB, host="b.example", deadline=NOW + 30.5),
            envelope=Envelope("s@s.example", (ANN, BOB), by=by),
        )
        (plain,) = self.enqueue()

        def late(before: float, limit: int = 10) -> list[str]:
            return sorted(stored.entry.id for stored in self.wait(self.store.late(before, limit)))

        self.assertEqual(late(NOW + 30), [])
        self.assertEqual(late(NOW + 30.5), [second])
        self.assertEqual(late(NOW + 99, 1), [second])
        self.reopen()
        self.assertEqual(late(NOW + 60), [first, second])
        found = {entry.id: entry for entry in self.wait(self.store.window(None, 10, []))}
        self.assertEqual((found[first].deadline, found[first].returns), (NOW + 60, True))
        self.assertEqual((found[second].deadline, found[second].returns), (NOW + 30.5, False))
        self.assertEqual((found[plain].deadline, found[plain].returns), (0.0, False))
        self.assertEqual(self.one(second).envelope.by, by)
        self.settle(Settlement(second, deadline=0.0))
        self.settle(Settlement(first, state=Lasting.HELD, reason="x"))
        self.assertEqual(late(NOW + 99), [])
        self.assertEqual((self.one(second).entry.deadline, self.one(first).entry.deadline), (0.0, NOW + 60))
        self.settle(Settlement(first, state=Lasting.QUEUED, reason=""))
        self.assertEqual(late(NOW + 99), [first])
        self.wait(self.store.move(first, "other", "h.example"))
        self.reopen()
        self.assertEqual(late(NOW + 99), [first])
        self.settle(delivered(first))
        self.assertEqual(late(NOW + 99), [])

    def test_window_in_order_of_due_time(self) -> None:
        """Queued entries come in the order of their due times, then of arrival, page by page."""
        dues = [NOW + 5, NOW, NOW + 0.000001, NOW, NOW - 5]
        ids = [self.enqueue(new_entry(ANN, due=due))[0] for due in dues]
        expected = [ids[place] for place in (4, 1, 3, 2, 0)]
        self.assertEqual(self.due_ids(), expected)
        after, found = None, []
        while page := self.wait(self.store.window(after, 2, [])):
            found += [entry.id for entry in page]
            after = (page[-1].due, page[-1].id)
        self.assertEqual(found, expected)

    def test_open_recipients_are_counted(self) -> None:
        """The schedule is told how many there are, and who is done does not count."""
        (text_id,) = self.enqueue(new_entry(ANN, BOB))
        (entry,) = self.wait(self.store.window(None, 9, []))
        self.assertEqual((entry.recipients, self.one(text_id).entry.recipients), (2, 2))
        self.settle(delivered(text_id))
        (entry,) = self.wait(self.store.backlog("tcp_local", None, None, 9))
        self.assertEqual((entry.recipients, self.one(text_id).entry.recipients), (1, 1))

    def test_window_leaves_out_hosts(self) -> None:
        """Destinations that wait for something else do not fill the window."""
        (here,) = self.enqueue(new_entry(ANN))
        (there,) = self.enqueue(new_entry(BOB, host="b.example"))
        (local,) = self.enqueue(new_entry(ANN, channel="l"))
        self.assertEqual(self.due_ids(skip=[("tcp_local", "a.example")]), [there, local])
        many = [("tcp_local", f"h{n}.example") for n in range(498)]
        self.assertEqual(self.due_ids(skip=[*many, ("l", "a.example"), ("tcp_local", "b.example")]), [here])

    def test_backlog(self) -> None:
        """One channel's or destination's entries can be loaded on their own, in order, page by page."""
        (late,) = self.enqueue(new_entry(ANN, due=NOW + 9))
        (soon,) = self.enqueue(new_entry(ANN))
        (other,) = self.enqueue(new_entry(BOB, host="b.example", due=NOW + 4))
        self.enqueue(new_entry(ANN, channel="l"))
        self.enqueue(new_entry(ANN, state=Lasting.HELD))

        def ids(host: str | None, after: Any = None, limit: int = 10) -> list[str]:
            return [entry.id for entry in self.wait(self.store.backlog("tcp_local", host, after, limit))]

        self.assertEqual(ids("a.example"), [soon, late])
        self.assertEqual(ids(None), [soon, other, late])
        self.assertEqual(ids(None, (NOW, soon), 1), [other])
        self.assertEqual(ids("a.example", (NOW, soon)), [late])
        self.assertEqual(ids("nowhere.example"), [])

    def test_directory(self) -> None:
        """The list is in order of arrival, by channel, and goes on after an id."""
        ids = [self.enqueue(new_entry(ANN, channel="abc"[n % 3], due=NOW - n))[0] for n in range(9)]

        def listed(**selection: Any) -> list[str]:
            return [stored.entry.id for stored in self.wait(self.store.directory(**selection))]

        self.assertEqual(listed(), ids)
        self.assertEqual(listed(channel="b"), ids[1::3])
        self.assertEqual(listed(limit=4), ids[:4])
        self.assertEqual(listed(limit=2, after=ids[3]), ids[4:6])
        self.assertEqual(listed(channel="c", after=ids[2], limit=1), [ids[5]])
        self.assertEqual(listed(held=True), [])
        self.assertEqual(listed(held=False, channel="a"), ids[0::3])
        (elsewhere,) = self.enqueue(new_entry(ANN, channel="a", host="elsewhere"))
        self.assertEqual(listed(hosts={"elsewhere", "nowhere"}), [elsewhere])
        self.assertEqual(listed(hosts=["elsewhere"], channel="b"), [])

    def test_summary(self) -> None:
        """The summary counts queued, delayed and held entries, octets and the oldest, per channel."""
        self.assertEqual(self.wait(self.store.summarize()), {})
        self.enqueue(new_entry(ANN), arrived=NOW - 100)
        (gone,) = self.enqueue(new_entry(ANN, due=NOW + 60), content=b"12345")
        self.enqueue(new_entry(ANN, state=Lasting.HELD), new_entry(BOB, channel="l", host=""))
        expected = {"tcp_local": (2, 1, 1, 18 + 5 + 18, NOW - 100), "l": (1, 0, 0, 18, NOW)}
        self.assertEqual(self.wait(self.store.summarize()), expected)
        self.settle(delivered(gone))
        self.reopen()
        expected["tcp_local"] = (1, 0, 1, 36, NOW - 100)
        self.assertEqual(self.wait(self.store.summarize()), expected)

    def test_share(self) -> None:
        """Entries tell whose turn they take, as it was asked for, whether they are listed or fetched."""
        source = Source("in", user="ann")
        ids = []
        for sender, given in (("Ann@A.Example", source), ("", SOURCE)):
            envelope = Envelope(sender=sender, recipients=(ANN,))
            ids += self.enqueue(new_entry(ANN), envelope=envelope, source=given)
        for kind, shares in (
            ("sender_domain", ["a.example", "<>"]),
            ("user", ["ann", "<>"]),
            ("source_channel", ["in", "tcp_local"]),
            ("none", ["", ""]),
        ):
            self.store.share_by(kind)
            self.assertEqual([e.share for e in self.wait(self.store.window(None, 9, []))], shares)
            found = self.wait(self.store.backlog("tcp_local", "a.example", None, 9))
            self.assertEqual([e.share for e in found], shares)
            fetched = self.wait(self.store.fetch(ids))
            self.assertEqual(sorted(s.entry.share for s in fetched), sorted(shares))

    def test_overdue(self) -> None:
        """What is due of some hosts is counted, in the order they were named."""
        self.enqueue(new_entry(ANN, channel="a", host="x"), new_entry(BOB, channel="a", host="y"))
        self.enqueue(
            new_entry(ANN, channel="a", host="x", due=NOW + 60), new_entry(BOB, channel="b", host="x")
        )
        self.enqueue(new_entry(ANN, channel="a", host="x", state=Lasting.HELD))
        self.enqueue(new_entry(ANN, channel="a", host="x"))
        pairs = [("b", "x"), ("a", "none"), ("a", "x")]
        self.assertEqual(self.wait(self.store.overdue(pairs)), [1, 0, 2])
        self.assertEqual(self.wait(self.store.overdue([])), [])

    def test_views_change_nothing(self) -> None:
        """Looking at the queue, in any way, leaves it as it was."""
        (text_id,) = self.enqueue(new_entry(ANN), content=b"x" * 70_000)

        def look() -> list[Any]:
            store = self.store
            looks = (store.summarize(), store.directory(), store.history(text_id), store.ledger())
            looks += (
                store.window(None, 9, []),
                store.stopped(),
                store.host_backoffs(),
                store.fetch([text_id]),
            )
            return [self.wait(seen) for seen in looks]

        before = look()
        stored = before[1][0]
        stored.entry.due = stored.entry.attempts = 999
        stored.reason = "changed by the caller"
        self.read_content(stored.message)
        after = look()
        self.assertEqual(after[1][0].entry.due, NOW)
        self.assertEqual([after[0], *after[2:]], [before[0], *before[2:]])

    def test_moved_to_another_channel(self) -> None:
        """A moved entry is accepted there and moved here, and keeps its id, its age and who is left."""
        (text_id,) = self.enqueue(new_entry(ANN, BOB, EVE))
        self.settle(delivered(text_id, EVE))
        self.assertTrue(self.wait(self.store.move(text_id, "l", "local")))
        self.reopen()
        stored = self.one(text_id)
        self.assertEqual(
            (stored.entry.channel, stored.entry.host, stored.entry.enqueued), ("l", "local", NOW)
        )
        self.assertEqual(stored.envelope.recipients, (ANN, BOB))
        self.assertEqual(self.ledger(), {"accepted": 3, "delivered": 1, "moved": 2})
        self.assertEqual(self.ledger("l"), {"accepted": 2, "queued": 2})
        self.assertTrue(self.wait(self.store.move(text_id, "l", "other")))
        self.assertEqual(self.ledger("l"), {"accepted": 2, "queued": 2})
        self.assertEqual(list(self.wait(self.store.summarize())), ["l"])

    def test_priority(self) -> None:
        """An entry's priority can be changed and stays so."""
        (text_id,) = self.enqueue()
        self.assertTrue(self.wait(self.store.set_priority(text_id, Priority.THIRD_CLASS)))
        self.reopen()
        self.assertEqual(self.one(text_id).entry.priority, Priority.THIRD_CLASS)

    def test_history_keeps_the_newest(self) -> None:
        """The history of an entry is bounded: of many lines the newest hundred are kept."""
        (text_id,) = self.enqueue()
        lines = [Attempt(when=NOW + n, what="deferred", text=f"attempt {n}") for n in range(130)]
        for some in (lines[:1], lines[1:90], lines[90:]):
            self.settle(Settlement(text_id, history=tuple(some)))
        self.assertEqual(self.wait(self.store.history(text_id)), lines[-100:])

    def test_scan(self) -> None:
        """A look at all messages sees each with the beginning of its content, page by page, in order."""
        large = b"Subject: large\r\n\r\n" + b"x" * 100_000
        ids = [*self.enqueue(content=b"Subject: one\r\n\r\n1\r\n"), *self.enqueue(content=large)]
        ids += self.enqueue(new_entry(ANN, channel="l"), content=b"")
        self.settle(Settlement(ids[1], state=Lasting.HELD))
        seen: list[tuple[str, bytes]] = []

        def look(stored: StoredEntry, head: Callable[[int], bytes]) -> str | None:
            seen.append((stored.entry.id, head(4)))
            assert head(20)[:4] == seen[-1][1]
            return stored.entry.id if head(100).startswith(b"Subject: l") else None

        page = self.wait(self.store.scan(look, None, None, 2, None))
        self.assertEqual((page.found, page.last, page.seen), ([ids[1]], ids[1], 2))
        page = self.wait(self.store.scan(look, None, None, 2, page.last))
        self.assertEqual((page.found, page.last, page.seen), ([], ids[2], 1))
        page = self.wait(self.store.scan(look, None, None, 2, page.last))
        self.assertEqual((page.found, page.last, page.seen), ([], None, 0))
        self.assertEqual(seen, [(ids[0], b"Subj"), (ids[1], b"Subj"), (ids[2], b"")])
        self.assertEqual(self.wait(self.store.scan(look, "l", None, 9, None)).seen, 1)
        self.assertEqual(self.wait(self.store.scan(look, None, True, 9, None)).last, ids[1])

    def test_stopped_channels(self) -> None:
        """A stopped channel stays stopped over restarts, with who did it and when, until it is started."""
        self.wait(self.store.set_stopped("tcp_local", True, "ann"))
        self.wait(self.store.set_stopped("l", True, "bob"))
        self.wait(self.store.set_stopped("l", False, "bob"))
        self.reopen()
        self.assertEqual(self.wait(self.store.stopped()), {"tcp_local": ("ann", NOW)})

    def test_remembered(self) -> None:
        """What operators set is there after a restart, the last word of each topic and key, until forgotten."""
        for topic, key, value in (
            ("setting", "a", "1"),
            ("setting", "b", '{"é\\u0000":"\'"}'),
            ("other", "a", "3"),
            ("setting", "a", "2"),
            ("setting", "gone", "4"),
            ("setting", "gone", None),
        ):
            self.wait(self.store.remember(topic, key, value))
        self.reopen()
        self.assertEqual(self.wait(self.store.remembered("setting")), {"a": "2", "b": '{"é\\u0000":"\'"}'})
        self.assertEqual(self.wait(self.store.remembered("other")), {"a": "3"})
        with self.assertRaises(StoreError):
            self.wait(self.store.remember("setting", "a\0b", "1"))

    def test_host_backoffs(self) -> None:
        """Failures of destinations are remembered over restarts until they are forgotten."""
        for host, failures in (("a.example", 1), ("b.example", 2), ("a.example", 3), ("b.example", 0)):
            self.wait(self.store.set_host_backoff("tcp_local", host, failures, NOW + failures, "refused"))
        self.reopen()
        self.assertEqual(
            self.wait(self.store.host_backoffs()), [("tcp_local", "a.example", 3, NOW + 3, "refused")]
        )

    def test_everything_about_one_entry(self) -> None:
        """Entry, history, who stopped its channel, what its destination said last; nothing of one that is gone."""
        (text_id,) = self.enqueue()
        line = Attempt(when=NOW, what="deferred", text="later")
        self.settle(Settlement(text_id, attempts=1, history=(line,)))
        self.assertEqual(self.wait(self.store.inspect(text_id)), (self.one(text_id), [line], None, None))
        self.wait(self.store.set_stopped("tcp_local", True, "ann"))
        self.wait(self.store.set_host_backoff("tcp_local", "a.example", 3, NOW + 3, "refused"))
        stored, _, stopped, backoff = self.wait(self.store.inspect(text_id))
        self.assertEqual(
            (stored.entry.attempts, stopped, backoff), (1, ("ann", NOW), (3, NOW + 3, "refused"))
        )
        self.settle(delivered(text_id))
        self.assertIsNone(self.wait(self.store.inspect(text_id)))

    def test_arrivals_are_counted(self) -> None:
        """Of one channel and priority, held ones left out, between two times."""
        for number in range(4):
            self.enqueue(arrived=NOW + number)
        self.enqueue(new_entry(ANN, channel="l"))
        self.enqueue(new_entry(ANN, priority=Priority.URGENT))
        (held,) = self.enqueue(new_entry(ANN))
        self.settle(Settlement(held, state=Lasting.HELD))
        count = self.store.count_arrived
        self.assertEqual(self.wait(count("tcp_local", Priority.NORMAL, NOW - 1, NOW + 9)), 4)
        self.assertEqual(self.wait(count("tcp_local", Priority.NORMAL, NOW, NOW + 2)), 2)
        self.assertEqual(self.wait(count("none", Priority.NORMAL, NOW - 1, NOW + 9)), 0)
        self.assertEqual(self.wait(self.store.channels()), ["l", "tcp_local"])

    def test_room_that_must_stay_free_can_change(self) -> None:
        """With more than there is, no mail is accepted; with less it is again; results are recorded always."""
        (text_id,) = self.enqueue()
        self.store.keep_free(1 << 60)
        self.reactor.advance(2)
        with self.assertRaises(StoreFull):
            self.enqueue()
        self.settle(delivered(text_id))
        self.store.keep_free(0)
        self.reactor.advance(2)
        self.enqueue()

    def test_nothing_is_damaged(self) -> None:
        """A queue as it was made."""
        self.enqueue()
        self.assertEqual(self.wait(self.store.damaged()), [])

    def test_hostile_text(self) -> None:
        """Line ends, quotes and NULs in addresses and replies come back as they were, as one record."""
        host = '"a\r\nb\x01 \\"\u2028\'; DROP TABLE entries --é.example'
        odd = host + "\0x"
        (text_id,) = self.enqueue(new_entry(Recipient(odd), host=host), envelope_id=odd)
        line = Attempt(when=NOW, what="deferred", text=odd)
        self.settle(Settlement(text_id, last_reply=odd, reason=odd, history=(line, line)))
        stored = self.one(text_id)
        self.assertEqual((stored.envelope.recipients, stored.entry.host), ((Recipient(odd),), host))
        self.assertEqual((stored.last_reply, stored.reason, stored.envelope_id), (odd, odd, odd))
        self.assertEqual(self.wait(self.store.history(text_id)), [line, line])
        self.assertEqual(len(self.wait(self.store.backlog("tcp_local", host, None, 9))), 1)
        self.wait(self.store.set_host_backoff("l", host, 1, NOW, odd))
        self.assertEqual(self.wait(self.store.host_backoffs()), [("l", host, 1, NOW, odd)])

    def test_names_with_nul(self) -> None:
        """A channel or host with a NUL is refused; it can be no real one."""
        calls = (
            lambda: self.store.enqueue(submission(new_entry(ANN, host="a\0b"))),
            lambda: self.store.set_stopped("a\0b", True, "ann"),
            lambda: self.store.set_host_backoff("l", "a\0b", 1, NOW, ""),
        )
        for call in calls:
            with self.assertRaises(StoreError):
                self.wait(call())

    def test_one_owner(self) -> None:
        """A second opening is refused while the first lasts."""
        with self.assertRaises(StoreBusy):
            self.open_store()
        self.reopen()

    def test_nothing_without_entries(self) -> None:
        """A submission without entries is refused, and its neighbours are not."""
        empty = Submission(Envelope("", (ANN,)), SOURCE, b"", 0, ())
        calls = [self.store.enqueue(one) for one in (submission(), empty, submission())]
        self.wait(calls[0])
        with self.assertRaises(StoreError):
            self.wait(calls[1])
        self.wait(calls[2])
        self.assertEqual(self.ledger(), {"accepted": 2, "queued": 2})

    def test_closed_store(self) -> None:
        """A closed store fails what it is asked, closes again harmlessly, and keeps what was asked before."""
        waiting = self.store.enqueue(submission())
        closing = self.store.close()
        for call in (
            self.store.enqueue(submission()),
            self.store.fetch([]),
            self.store.settle(delivered("Q1")),
        ):
            with self.assertRaises(StoreError):
                self.wait(call)
        self.wait(closing)
        self.wait(self.store.close())
        (text_id,) = self.wait(waiting)
        self.store = self.open_store()
        self.assertEqual(self.due_ids(), [text_id])
