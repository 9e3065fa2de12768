"""What every IMessageStore promises of operators' changes; part of the contract in store_contract.py."""

from typing import Any

from jobctl.errors import StoreError
from jobctl.mail.acts import Act, Stage
from jobctl.mail.entry import Attempt, Lasting, Loss, Origin, Settlement, Undo
from jobctl.mail.envelope import Priority, Recipient

NOW = 1_760_000_000.25
ANN = Recipient("ann@a.example")
BOB = Recipient("bob@b.example", notify="SUCCESS,DELAY", orcpt="rfc822;bob@b.example")
EVE = Recipient("eve@e.example")


class OperatorContract:
    """Mixed into :class:`tests.store_contract.MessageStoreContract`."""

    store: Any
    wait: Any
    enqueue: Any
    settle: Any
    one: Any
    ledger: Any
    reopen: Any
    read_content: Any
    entry: Any
    submission: Any
    assertEqual: Any
    assertRaises: Any

    def deleted(self, text_id: str, operation: int = 1, until: float = NOW + 600) -> None:
        """As an operator deletes who may take it back."""
        undo = Undo(operation, until, "delete")
        self.settle(Settlement(text_id, state=Lasting.GRACE, undo=undo))

    def undoable(self, operation: int) -> list[str]:
        return [stored.entry.id for stored, _ in self.wait(self.store.undoable(operation))]

    def test_in_grace_it_is_nowhere_to_be_seen(self) -> None:
        """What is deleted and may be taken back is in no list and no queue, and its recipients are not lost."""
        one, two = self.enqueue(self.entry(ANN)) + self.enqueue(self.entry(BOB))
        self.deleted(one)
        self.reopen()
        self.assertEqual(self.wait(self.store.fetch([one])), [])
        self.assertEqual(self.wait(self.store.fetch_whole([one])), [])
        self.assertEqual([s.entry.id for s in self.wait(self.store.directory())], [two])
        self.assertEqual([s.entry.id for s in self.wait(self.store.directory(held=True))], [])
        self.assertEqual([e.id for e in self.wait(self.store.window(None, 9, ()))], [two])
        self.assertEqual([e.id for e in self.wait(self.store.backlog("tcp_local", None, None, 9))], [two])
        summary = self.wait(self.store.summarize())["tcp_local"]
        self.assertEqual(summary[:4], (1, 0, 0, len(b"Subject: x\r\n\r\nHi\r\n")))
        self.assertEqual(self.ledger(), {"accepted": 2, "queued": 2})

    def test_whether_it_can_be_taken_back(self) -> None:
        """Of what is deleted it can be found out how to take it back; not of what is there, or gone."""
        one, two = self.enqueue(self.entry(ANN)) + self.enqueue(self.entry(BOB))
        self.settle(Settlement(two, place=("l", ""), undo=Undo(3, NOW + 60, "move", place=("tcp_local", ""))))
        self.settle(Settlement(one, place=("l", ""), undo=Undo(3, NOW + 60, "move", place=("tcp_local", ""))))
        self.deleted(one, operation=4)
        found = [self.wait(self.store.in_grace(text)) for text in (one, two, "Q9ZZ", "nonsense")]
        self.assertEqual([undo and undo.operation for undo in found], [4, None, None, None])

    def test_taken_back(self) -> None:
        """What was deleted comes back as it was, and cannot be taken back twice."""
        (one,) = self.enqueue(self.entry(ANN, BOB))
        before = self.one(one)
        self.deleted(one)
        (found,) = self.wait(self.store.undoable(1))
        self.assertEqual((found[0].entry, found[1].what), (before.entry, "delete"))
        self.settle(Settlement(one, state=Lasting.QUEUED, ended=1))
        self.reopen()
        self.assertEqual(self.one(one), before)
        self.assertEqual(self.undoable(1), [])
        self.assertEqual(self.ledger(), {"accepted": 2, "queued": 2})
        self.assertEqual(self.wait(self.store.summarize())["tcp_local"][0], 1)

    def test_the_end_of_grace(self) -> None:
        """When the time is over it is deleted and counted; with it goes what could have been taken back."""
        (one,) = self.enqueue(self.entry(ANN, BOB))
        (two,) = self.enqueue(self.entry(EVE))
        self.deleted(one, until=NOW + 600)
        self.deleted(two, operation=2, until=NOW + 60)
        self.reopen()
        self.assertEqual(self.wait(self.store.next_lapse()), NOW + 60)
        self.assertEqual(self.wait(self.store.lapsed(NOW + 59)), [])
        self.assertEqual([text for text, *_ in self.wait(self.store.lapsed(NOW + 600))], [two, one])
        self.assertEqual([text for text, *_ in self.wait(self.store.lapsed(NOW + 600, limit=1))], [two])
        losses = ((ANN.address, Loss.DELETED), (BOB.address, Loss.DELETED))
        self.settle(Settlement(one, losses=losses, ended=1))
        self.settle(Settlement(two, losses=((EVE.address, Loss.DELETED),), ended=2))
        self.assertEqual(self.wait(self.store.next_lapse()), None)
        self.assertEqual(self.ledger(), {"accepted": 3, "deleted": 3})
        self.assertEqual(self.wait(self.store.directory()), [])

    def test_nothing_else_ends_grace(self) -> None:
        """What an attempt or damage says of a deleted message does not bring it back."""
        (one,) = self.enqueue(self.entry(ANN))
        self.deleted(one)
        self.settle(Settlement(one, state=Lasting.HELD, reason="damaged", due=NOW + 9))
        self.settle(Settlement(one, state=Lasting.QUEUED))
        self.assertEqual(self.one(one), None)
        self.assertEqual(self.undoable(1), [one])

    def test_moved_and_moved_back(self) -> None:
        """A move keeps id, age and history; both channels' ledgers balance, there and back."""
        (one,) = self.enqueue(self.entry(ANN, BOB))
        undo = Undo(7, NOW + 600, "move", place=("tcp_local", "a.example"))
        line = Attempt(NOW, "moved", "to l by ann")
        self.settle(Settlement(one, place=("l", "local"), undo=undo, history=(line,)))
        self.reopen()
        stored = self.one(one)
        self.assertEqual(
            (stored.entry.channel, stored.entry.host, stored.entry.enqueued), ("l", "local", NOW)
        )
        self.assertEqual(self.wait(self.store.history(one)), [line])
        self.assertEqual(self.ledger(), {"accepted": 2, "moved": 2})
        self.assertEqual(self.ledger("l"), {"accepted": 2, "queued": 2})
        ((_, found),) = self.wait(self.store.undoable(7))
        self.settle(Settlement(one, place=found.place, ended=7))
        self.assertEqual(self.one(one).entry.channel, "tcp_local")
        self.assertEqual(self.ledger(), {"accepted": 4, "moved": 2, "queued": 2})
        self.assertEqual(self.ledger("l"), {"accepted": 2, "moved": 2})

    def test_redirected(self) -> None:
        """Others stand in for the recipients, with the parameters given; the ledger counts them as moved."""
        (one,) = self.enqueue(self.entry(ANN, BOB, EVE))
        new = Recipient("new@n.example", notify="NEVER", orcpt="rfc822;ann@a.example")
        undo = Undo(3, NOW + 600, "redirect", place=("tcp_local", "a.example"), recipients=(ANN, BOB, EVE))
        self.settle(Settlement(one, place=("tcp_local", "n.example"), recipients=(new,), undo=undo))
        self.reopen()
        self.assertEqual(self.one(one).envelope.recipients, (new,))
        self.assertEqual(self.one(one).entry.host, "n.example")
        self.assertEqual(self.ledger(), {"accepted": 4, "moved": 3, "queued": 1})
        ((_, found),) = self.wait(self.store.undoable(3))
        self.settle(Settlement(one, place=found.place, recipients=found.recipients, ended=3))
        self.assertEqual(self.one(one).envelope.recipients, (ANN, BOB, EVE))
        self.assertEqual(self.ledger(), {"accepted": 7, "moved": 4, "queued": 3})
        with self.assertRaises(StoreError):
            self.settle(Settlement(one, recipients=()))
        self.assertEqual(self.one(one).envelope.recipients, (ANN, BOB, EVE))

    def test_split(self) -> None:
        """A move that splits a message makes an entry of those that go elsewhere; nobody is lost or doubled."""
        (one,) = self.enqueue(self.entry(ANN, BOB))
        staged = self.store.stage()
        staged.write(b"x" * 100_000)
        submission = self.submission(
            self.entry(BOB, channel="l", host="b"), content=staged, origin=Origin.ACCEPTED
        )
        undo = Undo(4, NOW + 600, "move", place=("tcp_local", "a.example"), recipients=(ANN, BOB))
        ((two,),) = self.settle(
            Settlement(
                one,
                losses=((BOB.address, Loss.MOVED),),
                place=("l", "a"),
                notifications=(submission,),
                undo=undo,
            )
        )
        self.assertEqual(self.one(one).envelope.recipients, (ANN,))
        self.assertEqual(self.one(two).envelope.recipients, (BOB,))
        self.assertEqual(self.read_content(self.one(two).message), b"x" * 100_000)
        self.assertEqual(self.ledger(), {"accepted": 2, "moved": 2})
        self.assertEqual(self.ledger("l"), {"accepted": 2, "queued": 2})
        found = self.wait(self.store.undoable(4))
        self.assertEqual(
            [(s.entry.id, u.place, u.recipients) for s, u in found],
            [(one, ("tcp_local", "a.example"), (ANN, BOB)), (two, ("tcp_local", "a.example"), None)],
        )

    def test_new_priority(self) -> None:
        """A priority given in a settlement stays."""
        (one,) = self.enqueue(self.entry(ANN))
        self.settle(Settlement(one, priority=Priority.URGENT))
        self.reopen()
        self.assertEqual(self.one(one).entry.priority, Priority.URGENT)

    def test_undo_of_what_is_gone(self) -> None:
        """What was moved and then delivered cannot be undone; it is forgotten when the time is over."""
        (one,) = self.enqueue(self.entry(ANN))
        undo = Undo(5, NOW + 60, "move", place=("tcp_local", "a.example"))
        self.settle(Settlement(one, place=("l", ""), undo=undo))
        self.settle(Settlement(one, losses=((ANN.address, Loss.DELIVERED),)))
        self.assertEqual(self.undoable(5), [])
        self.assertEqual([text for text, *_ in self.wait(self.store.lapsed(NOW + 60))], [one])
        self.settle(Settlement(one, ended=5))
        self.assertEqual(self.wait(self.store.next_lapse()), None)

    def test_undo_page_by_page(self) -> None:
        """Large operations are taken back in parts, in order of arrival."""
        ids = [self.enqueue(self.entry(ANN))[0] for _ in range(5)]
        for text in ids:
            self.deleted(text)
        pages, after = [], None
        while page := self.wait(self.store.undoable(1, after=after, limit=2)):
            pages.append([stored.entry.id for stored, _ in page])
            after = pages[-1][-1]
        self.assertEqual(pages, [ids[:2], ids[2:4], ids[4:]])
        for text in ids[:2]:
            self.settle(Settlement(text, losses=((ANN.address, Loss.DELIVERED),)))
        self.assertEqual([s.entry.id for s, _ in self.wait(self.store.undoable(1, limit=2))], ids[2:4])

    def test_newest(self) -> None:
        """What came last is known, so that nothing newer is touched."""
        self.assertEqual(self.wait(self.store.newest()), None)
        ids = [self.enqueue(self.entry(ANN))[0] for _ in range(3)]
        self.assertEqual(self.wait(self.store.newest()), ids[-1])

    def test_acts(self) -> None:
        """Who did what is kept over restarts, the newest first, until it is too old."""
        for number in range(1, 6):
            self.wait(self.store.write_act(Act(number, NOW + number, "ann", "delete", "age>1h", ids=("Q1",))))
        changed = Act(2, NOW + 2, "ann", "delete", stage=Stage.CANCELLED, done=7)
        self.wait(self.store.write_act(changed))
        self.reopen()
        self.assertEqual([act.number for act in self.wait(self.store.acts())], [5, 4, 3, 2, 1])
        self.assertEqual([act.number for act in self.wait(self.store.acts(before=4, limit=2))], [3, 2])
        self.assertEqual(self.wait(self.store.acts(before=3, limit=1)), [changed])
        self.wait(self.store.write_act(Act(6, NOW + 6, "bob", "stop"), NOW + 4))
        self.assertEqual([act.number for act in self.wait(self.store.acts())], [6, 5, 4])
        # Numbers are never given twice, so the newest stays.
        self.wait(self.store.write_act(Act(7, NOW + 7, "bob", "start"), NOW + 1000))
        self.assertEqual([act.number for act in self.wait(self.store.acts())], [7])
