"""Damaged rows and files are set aside; all other mail goes on (pitfall: a torn entry kills start-up)."""

import os
import sqlite3

from twisted.logger import capturedLogs

from jobctl.errors import StoreError
from jobctl.mail.entry import Attempt, Lasting, Settlement
from jobctl.mail.envelope import Priority
from jobctl.store.ids import id_number
from tests.damage_case import DamageCase
from tests.store_contract import ANN, BOB, EVE, NOW, delivered, imbalances, new_entry

LARGE = b"0123456789abcdef" * 10_000


class DamageTests(DamageCase):
    def assert_set_aside(self, bad: str, good: str) -> None:
        """The good one alone is seen, the bad one is kept as evidence, and the ledger balances."""
        self.settled()
        self.assertEqual([entry.id for entry in self.wait(self.store.window(None, 9, []))], [good])
        self.assertEqual([stored.entry.id for stored in self.wait(self.store.directory())], [good])
        self.assertEqual([text_id for text_id, _, _ in self.wait(self.store.damaged())], [bad])
        self.assertEqual(self.wait(self.store.summarize())["tcp_local"][:4], (1, 0, 0, 18))
        self.assertEqual(imbalances(self.wait(self.store.ledger())), {})
        self.assertEqual(self.wait(self.store.settle(delivered(bad))), [])
        self.assertEqual(self.wait(self.store.fetch([bad])), [])

    def test_row_damaged_in_each_way(self) -> None:
        """An entry whose row or envelope is not as written is set aside and logged; the next one is there."""
        for sql in (
            'UPDATE entries SET detail = \'{"reason":"other"}\' WHERE id = ?',
            "UPDATE entries SET detail = CAST(x'ff00fe' AS TEXT) WHERE id = ?",
            "UPDATE entries SET detail = '{', crc = 0x15D54739 WHERE id = ?",
            "UPDATE entries SET priority = 77 WHERE id = ?",
            "UPDATE messages SET head = replace(head, 'ann@a', 'bob@a') WHERE id = ?",
            "UPDATE messages SET head = '' WHERE id = ?",
            "DELETE FROM messages WHERE id = ?",
        ):
            (bad,) = self.enqueue(new_entry(ANN, priority=Priority.URGENT))
            (good,) = self.enqueue()
            self.damage(sql, id_number(bad))
            with capturedLogs() as events:
                self.wait(self.store.directory())
                self.settled()
            self.assertIn(bad, [event.get("id") for event in events], sql)
            self.assert_set_aside(bad, good)
            self.damage("DELETE FROM damaged WHERE entry = ?", id_number(bad))
            self.wait(self.store.settle(delivered(good)))

    def test_damaged_row_in_the_window(self) -> None:
        """A row with octets that are no text does not stop the schedule from loading the others."""
        (bad,) = self.enqueue()
        (good,) = self.enqueue()
        self.damage("UPDATE entries SET host = CAST(x'ff80' AS TEXT) WHERE id = ?", id_number(bad))
        self.assertEqual([entry.id for entry in self.wait(self.store.window(None, 9, []))], [good])
        self.assert_set_aside(bad, good)

    def test_damage_seen_when_settling(self) -> None:
        """A damaged entry that is settled is set aside then; the others of its batch are settled."""
        bad, good, other = (self.enqueue()[0] for _ in range(3))
        self.damage("UPDATE entries SET crc = 1 WHERE id = ?", id_number(bad))
        calls = [self.store.settle(delivered(text_id)) for text_id in (bad, other)]
        self.assertEqual([self.wait(call) for call in calls], [[], []])
        self.assert_set_aside(bad, good)

    def test_damaged_history(self) -> None:
        """A line of history that cannot be read is shown as such, the others as they are."""
        (text_id,) = self.enqueue()
        lines = tuple(Attempt(when=NOW, what="deferred", text=str(n)) for n in range(2))
        self.wait(self.store.settle(Settlement(text_id, history=lines)))
        self.damage("UPDATE history SET line = '{' WHERE entry = ? AND seq = 1", id_number(text_id))
        found = self.wait(self.store.history(text_id))
        self.assertEqual([attempt.what for attempt in found], ["damaged", "deferred"])

    def test_damaged_backoff(self) -> None:
        """A remembered reply that cannot be read does not hide the backoff."""
        self.wait(self.store.set_host_backoff("l", "h", 2, NOW, "refused"))
        self.damage("UPDATE backoffs SET reply = CAST(x'ff' AS TEXT)")
        self.assertEqual(self.wait(self.store.host_backoffs()), [("l", "h", 2, NOW, "(damaged)")])

    def assert_held(self, ids: list[str]) -> None:
        self.settled()
        held = self.wait(self.store.directory(held=True))
        self.assertEqual([stored.entry.id for stored in held], ids)
        self.assertTrue(all("content" in stored.reason for stored in held))
        self.assertEqual(self.wait(self.store.history(ids[0]))[0].what, "damaged")

    def test_damaged_content_in_the_database(self) -> None:
        """Content that is not as written is given to nobody; its entries are held with the reason."""
        ids = self.enqueue(new_entry(ANN), new_entry(BOB, host="b.example"))
        (good,) = self.enqueue(new_entry(EVE))
        message = self.wait(self.store.fetch(ids))[0].message
        self.damage(
            "UPDATE messages SET content = CAST(replace(content, 'Hi', 'h') AS BLOB) WHERE id = ?", message
        )
        whole = {
            entry.entry.id: content for entry, content in self.wait(self.store.fetch_whole([*ids, good]))
        }
        self.assertEqual(whole, {ids[0]: None, ids[1]: None, good: b"Subject: x\r\n\r\nHi\r\n"})
        with self.assertRaises(StoreError):
            self.wait(self.store.content(message))
        self.assert_held(ids)
        self.assertEqual([entry.id for entry in self.wait(self.store.window(None, 9, []))], [good])

    def test_damaged_content_file(self) -> None:
        """A file that is other, shorter or gone is never read to its end; its entry is held."""

        def flip(path: str) -> None:
            with open(path, "r+b") as file:
                file.seek(50_000)
                file.write(b"!")

        for harm in (
            flip,
            lambda path: os.truncate(path, 100_000),
            lambda path: os.truncate(path, 0),
            os.unlink,
        ):
            (text_id,) = self.enqueue(content=LARGE)
            (path,) = self.files()
            harm(path)
            message = self.wait(self.store.fetch([text_id]))[0].message
            read = 0
            with self.assertRaises(StoreError):
                content = self.wait(self.store.content(message))
                while piece := content.read(30_000):
                    read += len(piece)
            self.assertLess(read, len(LARGE))
            self.assert_held([text_id])
            released = Settlement(text_id, state=Lasting.QUEUED)
            self.wait(self.store.settle(released))
            self.assertEqual(len(self.wait(self.store.window(None, 9, []))), 1)
            self.wait(self.store.settle(delivered(text_id)))
            self.settled()

    def test_content_closed_early(self) -> None:
        """Content closed before its end is no damage."""
        (text_id,) = self.enqueue(content=LARGE)
        content = self.wait(self.store.content(self.wait(self.store.fetch([text_id]))[0].message))
        content.read(10)
        content.close()
        with self.assertRaises(StoreError):
            content.read(10)
        self.assertEqual(self.wait(self.store.directory(held=True)), [])

    def test_what_a_crash_leaves_is_cleared(self) -> None:
        """Files on their way in when the machine stopped are removed at the next start; mail's files stay."""
        (text_id,) = self.enqueue(content=LARGE)
        (path,) = self.files()
        self.wait(self.store.close())
        name = os.path.basename(path)
        staging = os.path.join(self.directory, "staging")
        os.link(path, os.path.join(staging, name))
        with open(os.path.join(staging, "00cafe"), "wb") as file:
            file.write(b"never finished")
        os.makedirs(os.path.join(self.directory, "content", "00"), exist_ok=True)
        os.link(os.path.join(staging, "00cafe"), os.path.join(self.directory, "content", "00", "00cafe"))
        connection = sqlite3.connect(os.path.join(self.directory, "queue.db"), isolation_level=None)
        connection.execute("INSERT INTO garbage VALUES ('00feed')")
        connection.close()
        with open(os.path.join(self.directory, "content", "00", "00feed"), "wb"):
            pass
        self.store.open()
        self.assertEqual(self.files(), [path])
        self.assertEqual(self.files("staging"), [])
        message = self.wait(self.store.fetch([text_id]))[0].message
        self.assertEqual(self.wait(self.store.content(message)).read(1 << 20), LARGE)
