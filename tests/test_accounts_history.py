"""What became of a message: asked of the controller, of the queue itself, and by the command."""

import json
from typing import Any

import pytest

from jobctl.commands import exits
from jobctl.control.account_requests import History
from jobctl.control.change_requests import QmDelete, QmHold
from jobctl.control.requests import QmHistory
from jobctl.errors import UsageError
from jobctl.jobprotocol.frames import Ask
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.entry import Attempt, Loss, Settlement
from jobctl.mail.envelope import Envelope, Recipient, Source
from jobctl.store.sqlite import SQLiteStore
from tests.controller_case import CALLER, CONFIGURATION, START, Terminal, World
from tests.store_contract import ANN, BOB, NOW, PumpReactor, new_entry, submission
from tests.test_commands_main import CONFIG, configured, daemon, jobctl

__all__ = ["configured", "daemon", "jobctl"]


@pytest.fixture
def world() -> World:
    return World()


def send(world: World, *recipients: str, subject: str = "s", sender: str = "ann@a.example") -> str:
    envelope = Envelope(sender, tuple(Recipient(one) for one in recipients))
    content = f"Subject: {subject}\r\nMessage-ID: <{subject}@a>\r\n\r\nHi\r\n".encode()
    (entry_id,) = world.do(world.controller.intake.accept(envelope, Source("in"), content, len(content)))
    world.turn()
    return entry_id


def deliver(world: World, count: int) -> None:
    """So many messages, one after the other."""
    job = world.job(credit=0)
    for _ in range(count):
        job.says(Ask(n=1))
        world.turn()
        job.report(next(iter(job.held)), "relayed", "250 ok")


def ask(world: World, **keys: Any) -> list[dict[str, Any]]:
    terminal = Terminal()
    count = world.do(world.operate("history", History(**keys), terminal))
    assert count == len(terminal.items)
    return terminal.items


def told(rows: list[dict[str, Any]], *keys: str) -> list[tuple[Any, ...]]:
    return [tuple(row[key] for key in ("recipient", "what", *keys)) for row in rows]


def test_what_became_of_the_message_to_bob(world: World) -> None:
    """From its arrival over a deferral to the next hop's last word, found by address, time and name."""
    first = send(world, "bob@b.example", "cy@b.example", subject="One")
    job = world.job()
    job.results(first, bob="deferred", cy="failed")
    world.turn(600)
    world.scheduler.grant(job.id, 5)
    world.turn()
    job.report(first, "relayed", "250 2.1.5 queued as 7", remote="mx.b.example")
    world.turn(3600)
    send(world, "bob@b.example", subject="Two")
    for keys in (
        {"recipient": "BOB@", "since": START, "until": START + 60},
        {"recipient": "*@b.example", "subject": "one", "what": "relayed"},
        {"message_id": "<one@a>", "where": "rcpt=bob@b.example"},
        {"ids": (first,), "where": "rcpt.local=bob and attempts=2"},
    ):
        (row,) = ask(world, **keys)
        assert (row["what"], row["when"], row["enqueued"]) == ("relayed", START + 600, START)
        assert (row["reply"], row["remote"], row["attempts"]) == ("250 2.1.5 queued as 7", "mx.b.example", 2)
        assert (row["sender"], row["source"], row["channel"]) == ("ann@a.example", "in", "out")
        assert (row["message_id"], row["subject"]) == ("<One@a>", "One")
    assert told(ask(world, ids=(first,)), "reply") == [
        ("cy@b.example", "failed", "550 5.1.1 no"),
        ("bob@b.example", "relayed", "250 2.1.5 queued as 7"),
    ]


def test_with_what_was_tried(world: World) -> None:
    """The attempts of a message that is gone, its own recipient's alone; also in qm history, by its id."""
    entry_id = send(world, "bob@b.example", "cy@b.example")
    job = world.job()
    job.results(entry_id, bob="deferred", cy="relayed")
    world.turn(600)
    world.scheduler.grant(job.id, 5)
    world.turn()
    job.report(entry_id, "relayed", "250 ok")
    rows = {row["recipient"]: row for row in ask(world, ids=(entry_id,), attempts=True)}
    assert [line["what"] for line in rows["bob@b.example"]["lines"]] == ["deferred"]
    assert [line["what"] for line in rows["cy@b.example"]["lines"]] == ["relayed"]
    terminal = Terminal()
    world.do(world.operate("qm_history", QmHistory(ids=(entry_id,)), terminal))
    assert [line["what"] for line in terminal.items] == ["relayed", "deferred"]
    with pytest.raises(UsageError, match="no message Q99"):
        world.do(world.operate("qm_history", QmHistory(ids=(entry_id, "Q99")), terminal))


def test_who_still_waits_is_told_too(world: World) -> None:
    """The answer for a message that has not left is where it is, and why; unless nobody wants to know."""
    waiting = send(world, "bob@b.example", subject="Waits")
    held = send(world, "cy@b.example", subject="Held")
    world.do(world.operate("qm_hold", QmHold(ids=(held,), reason="wait")))
    world.job(credit=1).report(waiting, "deferred", "450 later")
    rows = ask(world)
    assert told(rows, "id", "reply", "when") == [
        ("bob@b.example", "delayed", waiting, "450 later", None),
        ("cy@b.example", "held", held, "wait", None),
    ]
    assert told(ask(world, ids=(held,))) == [("cy@b.example", "held")]
    assert told(ask(world, subject="waits")) == [("bob@b.example", "delayed")]
    assert told(ask(world, where="state=held")) == [("cy@b.example", "held")]
    assert ask(world, waiting=False) == []


def test_what_an_operator_did(world: World) -> None:
    """A deleted message tells who deleted it."""
    entry_id = send(world, "bob@b.example")
    world.do(world.operate("qm_delete", QmDelete(ids=(entry_id,))))
    world.turn(86400)
    (row,) = ask(world)
    assert (row["what"], CALLER.name in row["reply"]) == ("deleted", True)


def test_limits_and_mistakes(world: World) -> None:
    """No more lines than asked for, of both kinds together; what cannot be is said."""
    for number in range(6):
        send(world, f"{number}@b.example")
    deliver(world, 3)
    assert [len(ask(world, limit=limit)) for limit in (1, 3, 5, 0)] == [1, 3, 5, 6]
    assert {row["what"] for row in ask(world, limit=3)} == {"relayed"}
    with pytest.raises(UsageError, match="one of delivered"):
        ask(world, what="lost")
    with pytest.raises(UsageError, match="no field"):
        ask(world, where="nonsense=1")


def test_many_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long lists come in portions and are whole."""
    monkeypatch.setattr("jobctl.controller.history.PAGE", 2)
    for number in range(5):
        send(world, f"{number}@b.example")
    deliver(world, 5)
    assert sorted(row["recipient"][0] for row in ask(world)) == list("01234")


def test_without_retention() -> None:
    """With history_retention = 0 nothing of it is kept."""
    text = CONFIGURATION.replace("[job_controller]", "[job_controller]\nhistory_retention = 0")
    world = World(configuration=text)
    entry_id = send(world, "bob@b.example")
    world.job().report(entry_id, "relayed", "250 ok")
    assert ask(world) == []
    assert world.store.memory.disk.finished == {}


# The command.


def test_command(jobctl: Any) -> None:
    """A line for each recipient; the terminal is safe from what a peer said."""
    status, out, err = jobctl("history", "--to", "bob", "--at", "10:42")
    assert (status, err) == (exits.OK, [])
    assert out[0].split() == ["Came", "Id", "From", "To", "What", "When", "Channel", "Host", "Reply"]
    assert "<>" in out[1] and "relayed" in out[1] and "250 ok?[2J" in out[1]
    assert "delayed" in out[2]
    status, out, _ = jobctl("history", "--json", "--attempts", "-to=bob")
    assert [row["what"] for row in json.loads("".join(out))] == ["relayed", "delayed"]
    status, out, _ = jobctl("history", "--attempts")
    assert "Message-ID: <1@a>" in "\n".join(out) and any("deferred at mx: 450 x" in line for line in out)


def test_command_finds_nothing(jobctl: Any) -> None:
    """66 for scripts, and a word for people."""
    status, out, _ = jobctl("history", "--to", "nobody")
    assert status == exits.NO_INPUT
    assert "nothing like that" in out[0]


def test_command_used_wrongly(jobctl: Any) -> None:
    """Times that are none, and too many of them."""
    for words in (("--at", "soon"), ("--at", "10:42", "--since", "1h")):
        status, _, err = jobctl("history", *words)
        assert status == exits.USAGE and len(err) == 1


def test_command_says_that_there_is_more(jobctl: Any) -> None:
    """A list that was cut says so."""
    _, _, err = jobctl("history", "--limit", "2")
    assert "first 2" in err[0]


def test_without_a_daemon(jobctl: Any, tmp_path: Any) -> None:
    """The queue itself is asked when no daemon runs."""
    reactor = PumpReactor()
    store = SQLiteStore(reactor, str(tmp_path / "queue"), free_space=0, retention=86400)
    store.open()
    (entry_id,) = reactor.wait(
        store.enqueue(submission(new_entry(ANN, BOB), message_id="<1@a>", arrived=NOW))
    )
    reactor.wait(
        store.settle(
            Settlement(
                entry_id,
                ((ANN.address, Loss.RELAYED),),
                history=(Attempt(NOW, "deferred", "450 later", BOB.address),),
                said=(Disposition(ANN.address, Verdict.RELAYED, reply="250 ok"),),
            )
        )
    )
    reactor.wait(store.close())
    (tmp_path / "jobctl.toml").write_text(CONFIG)
    config = ("--config", str(tmp_path / "jobctl.toml"))
    status, out, err = jobctl(*config, "history", "--json", "--attempts", socket_path=None)
    assert status == exits.OK and "no Job Controller runs" in err[0]
    rows = json.loads("".join(out))
    assert [(row["recipient"], row["what"], row["reply"], len(row["lines"])) for row in rows] == [
        ("ann@a.example", "relayed", "250 ok", 0),
        ("bob@b.example", "ready", "", 1),
    ]
    status, _, err = jobctl(*config, "history", "--where", "rcpt=x", socket_path=None)
    assert status == exits.UNAVAILABLE
