"""Both stores remember what became of recipients, for as long as they were told to."""

import errno
import random
import sqlite3
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from jobctl.accounts.history import Search
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.entry import Attempt, Finished, Lasting, Loss, Settlement
from jobctl.mail.envelope import Recipient
from jobctl.store.memory import MemoryDisk, MemoryStore
from jobctl.store.sqlite import SQLiteStore
from tests.store_contract import ANN, BOB, NOW, PumpReactor, delivered, new_entry, submission
from tests.test_store_failures import FaultyDisk

DAY = 86400.0


def said(who: Recipient, reply: str, verdict: Verdict = Verdict.RELAYED, remote: str = "mx.example") -> Any:
    return Disposition(who.address, verdict, reply[4:9], reply, remote)


class FinishedContract:
    """Mixed into a TestCase that says how to make a store."""

    retention = 30 * DAY
    assertEqual: Any
    addCleanup: Any

    def setUp(self) -> None:
        self.reactor = PumpReactor()
        self.store = self.make_store()
        self.store.open()
        self.addCleanup(lambda: self.reactor.wait(self.store.close()))

    def make_store(self) -> Any:
        """A store on this test's queue, not yet open; each kind of store has a class that says how."""
        raise NotImplementedError

    def reopen(self) -> None:
        self.reactor.wait(self.store.close())
        self.store = self.make_store()
        self.store.open()

    def enqueue(self, *entries: Any, **more: Any) -> Any:
        return self.reactor.wait(
            self.store.enqueue(submission(*entries, arrived=self.reactor.seconds(), **more))
        )

    def settle(self, settlement: Settlement) -> None:
        self.reactor.wait(self.store.settle(settlement))

    def find(self, **search: Any) -> list[Finished]:
        found, after = self.reactor.wait(self.store.finished(Search(**search), 0, 1000))
        self.assertEqual(after, 0)
        return found

    def addresses(self, **search: Any) -> list[str]:
        return [one.recipient for one in self.find(**search)]

    def test_what_became_of_a_recipient(self) -> None:
        """When, how, by whom and with which words; the message's sender, id and subject; over a restart."""
        (text_id,) = self.enqueue(new_entry(ANN), message_id="<1@s.example>", subject="Söme € \0 words")
        self.settle(
            Settlement(
                text_id,
                due=NOW + 60,
                attempts=1,
                last_reply="450 4.2.0 later",
                history=(Attempt(NOW, "deferred", "450 4.2.0 later", ANN.address),),
            )
        )
        self.reactor.advance(60)
        self.settle(delivered(text_id, ANN, said=(said(ANN, "250 2.1.5 queued as 7"),)))
        self.reopen()
        self.assertEqual(
            self.find(),
            [
                Finished(
                    when=NOW + 60,
                    id=text_id,
                    enqueued=NOW,
                    channel="tcp_local",
                    what=Loss.DELIVERED,
                    recipient="ann@a.example",
                    sender="sender@s.example",
                    source="tcp_local",
                    envelope_id="0XYZ",
                    message_id="<1@s.example>",
                    subject="Söme € \0 words",
                    host="a.example",
                    size=len(b"Subject: x\r\n\r\nHi\r\n"),
                    attempts=2,
                    reply="250 2.1.5 queued as 7",
                    remote="mx.example",
                )
            ],
        )
        lines = self.reactor.wait(self.store.history(text_id))
        self.assertEqual([line.text for line in lines], ["450 4.2.0 later"])

    def test_each_recipient_has_words_of_its_own(self) -> None:
        """Two leave by one settlement, a third later; where nothing was said, the last reply or reason is."""
        third = Recipient("cy@c.example")
        (text_id,) = self.enqueue(new_entry(ANN, BOB, third))
        losses = ((BOB.address, Loss.FAILED), (ANN.address, Loss.RELAYED))
        words = (said(BOB, "550 5.1.1 no"), said(ANN, "250 2.1.5 ok"))
        self.settle(Settlement(text_id, losses, last_reply="450 4.1.1 hm", said=words))
        self.settle(Settlement(text_id, ((third.address, Loss.DELETED),)))
        (other,) = self.enqueue()
        self.settle(Settlement(other, ((ANN.address, Loss.DELETED),), reason="by root"))
        told = [(one.recipient, one.what, one.reply) for one in self.find()]
        self.assertEqual(
            sorted(told[:2]),
            [
                ("ann@a.example", "relayed", "250 2.1.5 ok"),
                ("bob@b.example", "failed", "550 5.1.1 no"),
            ],
        )
        self.assertEqual(
            told[2:],
            [
                ("cy@c.example", "deleted", "450 4.1.1 hm"),
                ("ann@a.example", "deleted", "by root"),
            ],
        )

    def test_nobody_is_remembered_who_did_not_leave(self) -> None:
        """A loss of somebody who is not there, or of an entry that is gone, makes no record."""
        (text_id,) = self.enqueue()
        self.settle(Settlement(text_id, (("who@else.example", Loss.RELAYED),)))
        self.settle(delivered(text_id))
        self.settle(delivered(text_id))
        self.assertEqual(self.addresses(), ["ann@a.example"])

    def test_search(self) -> None:
        """By part of an address or wildcards, time of arrival, id, Message-ID, subject, channel, how it left."""
        (one,) = self.enqueue(new_entry(ANN), message_id="<One@x>", subject="100% of_it")
        self.reactor.advance(60)
        (two,) = self.enqueue(new_entry(BOB, channel="gate"), message_id="<two@x>")
        self.reactor.advance(3600)
        self.settle(delivered(two, BOB))
        self.settle(Settlement(one, ((ANN.address, Loss.EXPIRED),)))
        ann, bob = ["ann@a.example"], ["bob@b.example"]
        for search, expected in (
            ({}, bob + ann),
            ({"recipient": "BOB"}, bob),
            ({"recipient": "*@a.example"}, ann),
            ({"recipient": "?nn@*"}, ann),
            ({"recipient": "nn@b"}, []),
            ({"sender": "sender@"}, bob + ann),
            ({"sender": "<>"}, []),
            ({"since": NOW + 30}, bob),
            ({"until": NOW + 30}, ann),
            ({"since": NOW, "until": NOW + 61}, bob + ann),
            ({"ids": (one, "Q0", "?")}, ann),
            ({"message_id": "one@"}, ann),
            ({"message_id": "_ne@"}, []),
            ({"subject": "100% OF_"}, ann),
            ({"channel": "g*"}, bob),
            ({"what": "expired"}, ann),
        ):
            self.assertEqual(self.addresses(**search), expected, search)

    def test_pages(self) -> None:
        """A long list comes in portions, each once."""
        for number in range(7):
            (text_id,) = self.enqueue(new_entry(Recipient(f"{number}@a.example")))
            self.settle(delivered(text_id, Recipient(f"{number}@a.example")))
        after, seen = 0, []
        while True:
            found, after = self.reactor.wait(self.store.finished(Search(recipient="a.example"), after, 3))
            seen += [one.recipient[0] for one in found]
            if not after:
                break
        self.assertEqual(seen, list("0123456"))

    def test_forgotten_when_their_time_is_over(self) -> None:
        """With new ones coming the old ones go, and the lines of their attempts; those of queued mail stay."""
        line = (Attempt(NOW, "deferred", "450 later"),)
        (old,) = self.enqueue(new_entry(ANN))
        (partly,) = self.enqueue(new_entry(ANN, BOB))
        self.settle(Settlement(old, history=line))
        self.settle(delivered(old))
        self.settle(delivered(partly, ANN, history=line))
        self.reactor.advance(self.retention + 1)
        for number in range(2):
            (text_id,) = self.enqueue(new_entry(Recipient(f"{number}@n.example")))
            self.settle(delivered(text_id, Recipient(f"{number}@n.example")))
        self.assertEqual(self.addresses(), ["0@n.example", "1@n.example"])
        self.assertEqual(self.reactor.wait(self.store.history(old)), [])
        self.assertEqual(self.reactor.wait(self.store.history(partly)), list(line))

    def test_switched_on_and_off(self) -> None:
        """What leaves while nothing is to be remembered leaves no trace; the setting holds from then on."""
        self.store.keep_finished(0)
        (one, two) = (self.enqueue()[0], self.enqueue()[0])
        self.settle(Settlement(one, history=(Attempt(NOW, "deferred", "450 later"),)))
        self.settle(delivered(one))
        self.assertEqual(self.find(), [])
        self.assertEqual(self.reactor.wait(self.store.history(one)), [])
        self.store.keep_finished(DAY)
        self.settle(delivered(two))
        self.assertEqual([one.id for one in self.find()], [two])

    def test_a_clock_that_steps_back(self) -> None:
        """The order in which they left stays, and each is found once."""
        gone = []
        for _ in range(3):
            (text_id,) = self.enqueue()
            self.settle(delivered(text_id))
            gone.append(text_id)
            self.reactor.rightNow -= 3600
            self.reopen()
        self.assertEqual([one.id for one in self.find()], gone)
        self.assertEqual([one.id for one in self.find(since=NOW - 3601, until=NOW - 3599)], gone[1:2])


class MemoryFinishedTests(FinishedContract, SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        super().setUp()

    def make_store(self) -> Any:
        return MemoryStore(self.reactor.seconds, self.disk, retention=self.retention)


class SQLiteFinishedTests(FinishedContract, SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = self.mktemp()
        super().setUp()

    def make_store(self) -> Any:
        return SQLiteStore(self.reactor, self.directory, free_space=0, retention=self.retention)

    def rows(self, table: str) -> int:
        with sqlite3.connect(f"{self.directory}/queue.db") as look:
            count: int = look.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        look.close()
        return count

    def test_forgotten_also_when_nothing_comes(self) -> None:
        """A store with nothing to do forgets by and by, and gives the room back."""
        ids = [self.enqueue()[0] for _ in range(50)]
        for text_id in ids:
            self.settle(Settlement(text_id, history=(Attempt(NOW, "deferred", "450 later"),)))
            self.settle(delivered(text_id))
        self.assertEqual((self.rows("finished"), self.rows("history")), (50, 50))
        self.reactor.advance(self.retention + 1)
        self.assertEqual(self.store._committing.idle(), False)
        self.assertEqual((self.rows("finished"), self.rows("history")), (0, 0))

    def test_never_much_at_once(self) -> None:
        """However many are outdated, a commit forgets no more than twice what it adds."""
        for _ in range(20):
            self.settle(delivered(self.enqueue()[0]))
        self.reactor.advance(self.retention + 1)
        for left in (19, 18, 17):
            self.settle(delivered(self.enqueue()[0]))
            self.assertEqual(self.rows("finished"), left)

    def test_a_full_disk_costs_history_not_results(self) -> None:
        """No room even with the reserve given up: the result is recorded without its history."""
        self.reactor.wait(self.store.close())
        disk = FaultyDisk()
        self.store = SQLiteStore(self.reactor, self.directory, free_space=0, disk=disk, retention=DAY)
        self.store.open()
        (one, two) = (self.enqueue()[0], self.enqueue()[0])
        disk.statements = [("INSERT INTO batch", sqlite3.SQLITE_FULL, 1)]
        disk.fail["reserve"] = errno.ENOSPC
        self.settle(delivered(one))
        self.assertEqual(self.find(), [])
        self.assertEqual([e.entry.id for e in self.reactor.wait(self.store.directory())], [two])
        self.settle(delivered(two))
        self.assertEqual([one.id for one in self.find()], [two])

    def test_a_damaged_record_is_left_out(self) -> None:
        """The others are still found."""
        ids = [self.enqueue()[0] for _ in range(3)]
        for text_id in ids:
            self.settle(delivered(text_id))
        with sqlite3.connect(f"{self.directory}/queue.db") as hand:
            hand.execute("UPDATE finished SET detail = '[' WHERE entry = 2")
        hand.close()
        self.assertEqual([one.id for one in self.find()], [ids[0], ids[2]])

    def test_agrees_with_the_store_in_memory(self) -> None:
        """Random lives of messages end in the same records in both."""
        chance = random.Random(5)
        model = MemoryStore(self.reactor.seconds, retention=self.retention)
        model.open()
        people = [Recipient(f"p{n}@a.example") for n in range(3)]
        for _ in range(150):
            message = submission(new_entry(*chance.sample(people, chance.randint(1, 3))), arrived=NOW)
            ours, theirs = (
                self.reactor.wait(self.store.enqueue(message)),
                self.reactor.wait(model.enqueue(message)),
            )
            for _ in range(3):
                losses = tuple(
                    (who.address, chance.choice(tuple(Loss)))
                    for who in chance.sample(people, chance.randint(0, 3))
                )
                words = tuple(said(who, f"250 2.1.5 {chance.random()}") for who in people)
                values = {
                    "losses": losses,
                    "state": chance.choice([None, *Lasting]),
                    "said": words[: chance.randint(0, 3)],
                }
                self.settle(Settlement(ours[0], **values))
                self.reactor.wait(model.settle(Settlement(theirs[0], **values)))
            self.reactor.advance(1)

        def told(found: list[Finished]) -> list[Any]:
            return sorted((f.when // 1, f.recipient, f.what, f.reply, f.remote, f.attempts) for f in found)

        found, _ = self.reactor.wait(model.finished(Search(), 0, 1000))
        self.assertEqual(told(self.find()), told(found))
