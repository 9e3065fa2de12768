"""Entries that were set aside as damaged: what is left of them, put back after a repair, or given up."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from jobctl.mail.entry import Lasting, Settlement
from jobctl.store.ids import id_number
from tests.configurations import GATEWAY
from tests.daemon import Daemon, until
from tests.damage_case import DamageCase
from tests.store_contract import ANN, BOB, EVE, delivered, imbalances, new_entry

LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 10_000


class MendingTests(DamageCase):
    def set_aside(self, sql: str, **more: Any) -> str:
        """An entry that was damaged by a statement, and has been looked at since."""
        (bad,) = self.enqueue(new_entry(ANN, BOB), **more)
        self.damage(sql, id_number(bad))
        self.wait(self.store.directory())
        self.settled()
        self.assertEqual([id for id, _, _ in self.wait(self.store.damaged())], [bad])
        return bad

    def repair(self, sql: str, bad: str) -> None:
        self.damage(sql, id_number(bad))

    def counts(self) -> tuple[int, ...]:
        found: tuple[int, ...] = self.wait(self.store.summarize()).get("tcp_local", (0, 0, 0, 0))[:4]
        return found

    def test_back_after_a_repair(self) -> None:
        """What can be read again is queued as it was, once, and the counts are right."""
        bad = self.set_aside("UPDATE entries SET crc = 1 WHERE id = ?")
        self.assertEqual(self.counts(), (0, 0, 0, 0))
        with pytest.raises(Exception, match="checksum"):
            self.wait(self.store.restore(bad))
        self.repair("UPDATE entries SET crc = 0 WHERE id = ?", bad)
        self.assertTrue(self.wait(self.store.restore(bad)))
        self.assertFalse(self.wait(self.store.restore(bad)))
        self.assertEqual([entry.id for entry in self.wait(self.store.window(None, 9, []))], [bad])
        self.assertEqual(self.counts(), (1, 0, 0, 18))
        self.assertEqual(self.wait(self.store.damaged()), [])
        self.wait(self.store.settle(delivered(bad, ANN, BOB)))
        self.assertEqual(imbalances(self.wait(self.store.ledger())), {})

    def test_back_to_where_it_was_held(self) -> None:
        """A message that an operator held stays held."""
        (bad,) = self.enqueue()
        self.wait(self.store.settle(Settlement(bad, state=Lasting.HELD, reason="why not")))
        self.damage("UPDATE entries SET crc = crc + 1 WHERE id = ?", id_number(bad))
        self.wait(self.store.directory())
        self.settled()
        self.repair("UPDATE entries SET crc = crc - 1 WHERE id = ?", bad)
        self.assertTrue(self.wait(self.store.restore(bad)))
        (held,) = self.wait(self.store.directory(held=True))
        self.assertEqual((held.entry.id, held.reason), (bad, "why not"))
        self.assertEqual(self.counts(), (0, 0, 1, 18))

    def test_what_is_left(self) -> None:
        """Of each kind of damage it is told what can still be read."""
        for sql, sender, recipients, content in (
            ("UPDATE entries SET crc = 1 WHERE id = ?", "sender@s.example", [ANN, BOB], "whole"),
            ("UPDATE messages SET head = 'x' WHERE id = ?", None, None, "whole"),
            (
                "UPDATE messages SET head_crc = 1, content_crc = 1 WHERE id = ?",
                "sender@s.example",
                [ANN, BOB],
                "damaged",
            ),
            ("DELETE FROM messages WHERE id = ?", None, None, "gone"),
        ):
            bad = self.set_aside(sql)
            left = self.wait(self.store.remains(bad))
            self.assertEqual((left.sender, left.channel, left.content), (sender, "tcp_local", content), sql)
            self.assertEqual(left.recipients and list(left.recipients), recipients)
            self.assertTrue(self.wait(self.store.give_up(bad)))
        self.assertIsNone(self.wait(self.store.remains(bad)))

    def test_given_up(self) -> None:
        """It is gone with all that was its own, counted as deleted; others of its message stay."""
        bad, good = self.enqueue(new_entry(ANN), new_entry(EVE, host="e.example"), content=LARGE)
        self.damage("UPDATE entries SET crc = 1 WHERE id = ?", id_number(bad))
        self.wait(self.store.directory())
        self.settled()
        self.assertTrue(self.wait(self.store.give_up(bad)))
        self.assertFalse(self.wait(self.store.give_up(bad)))
        self.assertFalse(self.wait(self.store.give_up(good)))
        self.assertEqual(len(self.files()), 1)
        ledger = self.wait(self.store.ledger())
        self.assertEqual(imbalances(ledger), {})
        self.assertEqual(ledger["tcp_local"]["deleted"], 1)
        self.damage("UPDATE entries SET crc = 1 WHERE id = ?", id_number(good))
        self.wait(self.store.directory())
        self.settled()
        self.assertTrue(self.wait(self.store.give_up(good)))
        self.settled()
        self.wait(self.store.close())
        self.store.open()
        self.assertEqual(self.files(), [])


def alter(directory: Path, sql: str) -> None:
    connection = sqlite3.connect(directory / "var" / "queue" / "queue.db", isolation_level=None)
    connection.execute(sql)
    connection.close()


@pytest.mark.real
def test_the_commands(tmp_path):
    """An operator lists what was set aside, with and without the daemon, queues it anew, and gives it up."""
    daemon = Daemon(tmp_path, GATEWAY, GATEWAY=1)
    with daemon:
        assert daemon.command("qm", "damaged").stdout == "nothing is damaged\n"
        daemon.command("qm", "stop", "*")
        entries = [
            daemon.command(
                *("enqueue", "--from", "ann@a.example", "--to", f"b{n}@mail.example.org", "-"),
                input=f"Subject: s{n}\n\n" + "x" * size,
            ).stdout.strip()
            for n, size in enumerate((10, 200_000, 10))
        ]
    alter(tmp_path, "UPDATE entries SET crc = 1")
    alter(tmp_path, "UPDATE messages SET head = '' WHERE id = (SELECT max(id) FROM messages)")
    with daemon:
        assert daemon.json("qm", "directory") == []
        until(lambda: len(daemon.json("qm", "damaged")) == 3)
    offline = daemon.json("qm", "damaged")
    with daemon:
        rows = daemon.json("qm", "damaged")
        assert rows == offline and [row["id"] for row in rows] == entries
        assert [row["sender"] for row in rows] == ["ann@a.example", "ann@a.example", None]
        assert "checksum" in rows[0]["why"]
        refused = daemon.command("qm", "salvage", entries[0], "Q99")
        assert refused.returncode == 66 and "--as-read" in refused.stderr and "Q99" in refused.stderr
        done = daemon.command("qm", "salvage", "--as-read", *entries)
        assert done.returncode == 65 and done.stdout.count("queued") == 2, done
        assert f"{entries[2]}: " in done.stderr and "give --from and --to" in done.stderr
        done = daemon.command("qm", "salvage", entries[2], "--from", "<>", "--to", "b2@mail.example.org")
        assert done.returncode == 0, done
        assert daemon.json("qm", "damaged") == []
        assert daemon.command("qm", "abandon", entries[0]).returncode == 66
        daemon.command("qm", "start", "*")
        maildir = tmp_path / "Maildir" / "new"
        landed = until(lambda: len(found := list(maildir.glob("*"))) == 3 and found, 60, daemon.log[-2000:])
        texts = b"".join(path.read_bytes() for path in landed)
        assert all(f"Subject: s{n}".encode() in texts for n in range(3)) and texts.count(b"x") > 200_000
