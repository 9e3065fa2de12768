"""
A control socket with made-up operations behind it, for tests; run as a program it serves until killed.

    python -m tests.control_fake SOCKET
"""

import sys
from typing import Any

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from jobctl.accounts.balance import COUNTS, ledger_rows
from jobctl.accounts.counting import ChannelCounts, Volume, counter_row
from jobctl.control.change_requests import HoldAdd
from jobctl.control.envelopes import envelope_of, priority_of
from jobctl.control.operations import IOperations, IReceiver
from jobctl.control.refusals import unknown_channel, unknown_hold_rule, unknown_id, unknown_operation
from jobctl.control.selection import in_list
from jobctl.errors import ConfigError, JobctlError, StoreError, StoreFull, UsageError
from jobctl.mail.acts import Act, Stage
from jobctl.selection.candidate import Candidate
from jobctl.selection.substrings import SHORTEST, Substrings

CHANNELS = ("l", "tcp_local", "test_smtp_gateway")
NOW = 1_700_000_000.0
LEDGER = {**dict.fromkeys(COUNTS, 0), "accepted": 5, "relayed": 2, "queued": 3}


def row(entry: str, channel: str = "tcp_local", held: bool = False, **other: Any) -> dict[str, Any]:
    """An entry as ``qm.directory`` lists it."""
    return {
        "id": entry,
        "channel": channel,
        "host": "b.example",
        "state": "held" if held else "delayed",
        "sender": "ann@a.example",
        "recipients": ["bob@b.example", "bea@b.example"],
        "size": 4096,
        "priority": "normal",
        "attempts": 2,
        "enqueued": NOW,
        "next_attempt": None if held else NOW + 3600,
        "last_reply": "451 4.7.1 later\x1b[2J",
        **other,
    }


def reload_row(key: str, old: Any, new: Any, messages: int | None, restart: bool = False) -> dict[str, Any]:
    """A change as ``reload`` tells of it."""
    effect = "needs a restart" if restart else "delayed messages"
    return {
        "key": key,
        "line": 7,
        "old": old,
        "new": new,
        "effect": effect,
        "messages": messages,
        "restart": restart,
    }


HISTORY = [
    {
        "when": NOW + 60,
        "what": "relayed",
        "id": "Q1",
        "enqueued": NOW,
        "channel": "tcp_local",
        "host": "b.example",
        "sender": "",
        "recipient": "bob@b.example",
        "size": 2000,
        "attempts": 2,
        "reply": "250 ok\x1b[2J",
        "remote": "mx.b.example",
        "source": "l",
        "envelope_id": "E1",
        "message_id": "<1@a>",
        "subject": "Hi",
    }
]
HISTORY.append({**HISTORY[0], "when": None, "what": "delayed", "recipient": "cy@b.example", "remote": ""})
ROWS = [row("a1"), row("a2", sender=""), row("b1", "test_smtp_gateway"), row("h1", held=True)]


def _flow(name: str, **other: Any) -> dict[str, Any]:
    keys = (
        *("messages", "ready", "active", "delayed", "held", "size", "jobs"),
        *("accepted", "delivered", "deferred", "failed", "octets"),
    )
    return {"channel": name, **dict.fromkeys(keys, 0), "oldest": None, "stopped": False, **other}


TOP = {
    "now": NOW + 100,
    "started": NOW,
    "pid": 42,
    "host": "mail.example.org",
    "version": "9.9",
    "channels": [
        _flow("l"),
        _flow(
            "tcp_local",
            **{"messages": 3, "delayed": 2, "held": 1, "size": 12345, "jobs": 2, "stopped": True},
            **{"accepted": 100, "delivered": 50, "deferred": 20, "octets": 5000},
        ),
        _flow("test_smtp_gateway"),
    ],
    "hosts": [
        {
            "channel": "tcp_local",
            "host": "b.example",
            "active": 1,
            "ready": 2,
            "delayed": 3,
            "until": NOW + 160,
        }
    ],
    "jobs": [
        {
            **{"job": "s1", "pid": 43, "channel": "tcp_local", "role": "slave", "program": "tcp_smtp_server"},
            **{"started": NOW, "held": 0, "processed": 0, "failed": 0},
            "work": [{"phase": "mail", "remote": "192.0.2.9", "octets": 0, "seconds": 3.0}],
        }
    ],
    "messages": [
        {
            **{"id": "a1", "job": "j1", "channel": "tcp_local", "host": "b.example", "attempt": 2},
            **{"sender": "", "recipients": ["bob@b.example", "bea@b.example"], "size": 4096, "octets": 2048},
            **{"phase": "rcpt", "remote": "mx\x1b[2J [192.0.2.1]", "since": NOW + 90},
        }
    ],
}


class Refusal(JobctlError):
    """As the controller refuses mail."""

    def __init__(self, code: int, status: str, text: str) -> None:
        super().__init__(text)
        self.code, self.status, self.text = code, status, text


@implementer(IReceiver)
class Receiver:
    """Keeps what it is given."""

    def __init__(self, operations: "FakeOperations", request: Any) -> None:
        self.operations = operations
        self.request = request
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> Deferred[None] | None:
        if self.request.sender == "full@a.example":
            raise StoreFull("no room")
        self.pieces.append(data)
        return self.operations.slow_write

    def finish(self) -> Deferred[list[str]]:
        self.operations.received.append((self.request, b"".join(self.pieces)))
        number = len(self.operations.received)
        return succeed([f"m{number}x{n}" for n in range(len(self.request.recipients))])

    def abort(self) -> None:
        self.operations.aborted += 1


@implementer(IOperations)
class FakeOperations:
    """Answers by a table; ``calls`` remembers what was asked."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.received: list[tuple[Any, bytes]] = []
        self.aborted = 0
        self.differs = False
        self.slow_write: Deferred[None] | None = None
        self.streams: list[Any] = []
        self.attached: list[Any] = []
        self.attaching: Any = None

    def ping(self, request: Any, caller: Any, stream: Any) -> Any:
        self.calls.append((request, caller))
        return "jobctl"

    def version(self, request: Any, caller: Any, stream: Any) -> Any:
        return {
            "version": "9.9",
            "pid": 42,
            "host": "mail.example.org",
            "started": NOW,
            "queue_directory": "/var/queue",
            "configuration": "/etc/jobctl.toml",
        }

    def enqueue(self, request: Any, caller: Any) -> Any:
        self.calls.append((request, caller))
        if request.channel is not None:
            self._channel(request.channel)
        if "refused@b.example" in request.recipients:
            raise Refusal(550, "5.1.2", "no such domain")
        if "busy@b.example" in request.recipients:
            raise Refusal(451, "4.3.0", "later")
        envelope_of(request)
        priority_of(request)
        return Receiver(self, request)

    async def run(self, request: Any, caller: Any, stream: Any) -> Any:
        self._channel(request.channel)
        self.streams.append(stream)
        if request.channel == "l":
            await stream.when_cancelled()
            raise UsageError("nobody watches any more")
        stream.line("S: 220 b.example ESMTP\x1b[31m")
        stream.progress({"tried": 1})
        stream.line("C: EHLO mail.example.org")
        if request.channel == "tcp_local":
            return {"delivered": 1, "deferred": 1, "failed": 0}
        return {"delivered": 1, "deferred": 0, "failed": 1 if request.poll else 0}

    def submit(self, request: Any, caller: Any, stream: Any) -> Any:
        self._channel(request.channel)
        return {"channel": request.channel, "started": 1 if request.poll else 0}

    def attach(self, request: Any, caller: Any, transport: Any) -> Any:
        self._channel(request.channel)
        attached = self.attaching(transport)
        self.attached.append(attached)
        return attached

    def explain(self, request: Any, caller: Any, stream: Any) -> dict[str, Any]:
        if request.message == "x9":
            raise unknown_id("x9")
        given = row(request.message)
        return {
            **{key: value for key, value in given.items() if key not in ("next_attempt", "state")},
            "state": "delayed",
            "holder": None
            if request.message != "a2"
            else {
                "job": "tcp_local.1",
                "program": "tcp_smtp_client",
                "pid": 77,
                "since": NOW,
                "remote": "",
                "phase": "dot",
                "others": 3,
                "leaving": False,
            },
            "causes": [
                {
                    "code": "stopped",
                    "text": "channel tcp_local is stopped by ann",
                    "since": NOW,
                    "until": None,
                    "who": "ann",
                    "where": "",
                },
                {
                    "code": "retry",
                    "text": "attempt 2 was deferred: 451 4.7.1 later\x1b[2J",
                    "since": None,
                    "until": NOW + 3600,
                    "who": "",
                    "where": "jobctl.toml:14: channel.tcp_local.backoff",
                },
            ],
            "next_attempt": None,
            "next": "when the channel is started",
            "expires": NOW + 86400,
            "at_expiry": "it is returned to ann@a.example",
            "at_expiry_where": "jobctl.toml:15: channel.tcp_local.notices",
            "warnings": [NOW + 7200],
            "notes": ["its priority is nonurgent: others go first"],
        }

    def reload(self, request: Any, caller: Any, stream: Any) -> dict[str, Any]:
        """Of a file that is right while it is only looked at, and wrong when it counts."""
        rows = [
            reload_row("channel.tcp_local.backoff", {"normal": [600.0, 3600.0]}, {"normal": [60.0]}, 1204),
            reload_row("channel.old", "(section)", None, 12),
            reload_row("job_controller.queue_directory", "/a", "/b", None, restart=True),
        ]
        wrong = [f"jobctl.toml:{line}: channel.x.smpt: there is no such keyword" for line in (4, 5)]
        return {
            "configuration": "jobctl.toml",
            "applied": False,
            "problems": [] if request.dry_run else wrong,
            "changes": rows if request.dry_run else [],
        }

    def shutdown(self, request: Any, caller: Any, stream: Any) -> Any:
        return {"pid": 2**22 - 1, "started": NOW}

    def restart(self, request: Any, caller: Any, stream: Any) -> Any:
        return {"pid": 1, "replaced": ["SMTP"] if request.component == "smtp" else []}

    def process(self, request: Any, caller: Any, stream: Any) -> Any:
        import os

        controller = {"pid": os.getpid(), "program": "jobctl", "channel": "", "job": "", "role": "controller"}
        gone = {
            "pid": 2**22 - 1,
            "program": "tcp_smtp_client",
            "channel": "tcp_local",
            "job": "j1",
            "role": "master",
        }
        return [{**controller, "started": NOW}, {**gone, "started": NOW + 1}]

    def cache_view(self, request: Any, caller: Any, stream: Any) -> Any:
        keys = ("id", "channel", "host", "priority", "size", "attempts")
        waits = {"due": NOW, "state": "ready", "next_attempt": NOW}
        return [{**{key: line[key] for key in keys}, **waits} for line in ROWS[:2]]

    def cache_sync(self, request: Any, caller: Any, stream: Any) -> Any:
        stream.progress({"done": 4, "of": 4})
        differences = [{"id": "a1", "text": "is not in memory\x1b", "mended": True}] if self.differs else []
        return {"stored": 4, "memory": 3, "differences": differences}

    def cache_walk(self, request: Any, caller: Any, stream: Any) -> Any:
        self.differs = request.debug == 64
        return {"lines": 9, "debug": request.debug or 0}

    def cache_change(self, request: Any, caller: Any, stream: Any) -> Any:
        if request.name:
            self._channel(request.name)
        return [
            self._change(request.scope, request.name, option, value, request.persistent)
            for option, value in request.set.items()
        ]

    def cache_revert(self, request: Any, caller: Any, stream: Any) -> Any:
        options = request.options or ("job_limit",)
        return [self._change(request.scope, request.name, option, "7", False) for option in options]

    def cache_changes(self, request: Any, caller: Any, stream: Any) -> Any:
        return [self._change("global", "", "max_messages", "500", True)]

    def _change(self, scope: str, name: str, option: str, value: str, persistent: bool) -> Any:
        change = {"scope": scope, "name": name, "option": option, "value": value}
        return {**change, "author": "root", "since": NOW, "persistent": persistent}

    def qm_summarize(self, request: Any, caller: Any, stream: Any) -> Any:
        keys = ("channel", "messages", "ready", "active", "delayed", "held", "size", "oldest", "stopped")
        return [
            dict(zip(keys, values, strict=True))
            for values in (
                ("l", 0, 0, 0, 0, 0, 0, None, False),
                ("tcp_local", 3, 0, 0, 2, 1, 12288, NOW, True),
            )
        ]

    async def qm_directory(self, request: Any, caller: Any, stream: Any) -> Any:
        wanted = in_list(request, NOW)
        rows = [
            line
            for line in ROWS
            if wanted(
                Candidate(
                    channel=line["channel"],
                    state=line["state"],
                    sender=line["sender"],
                    recipients=tuple(line["recipients"]),
                    attempts=line["attempts"],
                )
            )
        ]
        if request.limit:
            rows = rows[: request.limit]
        stream.send(*rows)
        return len(rows)

    def qm_held(self, request: Any, caller: Any, stream: Any) -> Any:
        return [{**line, "reason": "by root"} for line in ROWS if line["state"] == "held"]

    def top(self, request: Any, caller: Any, stream: Any) -> Any:
        return TOP

    def qm_top(self, request: Any, caller: Any, stream: Any) -> Any:
        self.calls.append((request, caller))
        stream.progress({"done": 4, "of": 4})
        values = [{"count": 3, "value": "Cheap\x1b[2J pills"}, {"count": 2, "value": ""}]
        parts = request.parts or {"subject": None}
        rows = [{"part": part, "missed": 7 if part == "to" else 0, "values": values} for part in parts]
        return {"messages": request.top, "parts": [*rows, {"part": "x", "missed": 0, "values": []}]}

    def qm_clean(self, request: Any, caller: Any, stream: Any) -> Any:
        self.calls.append((request, caller))
        try:
            Substrings(request.texts).check(SHORTEST if request.min_length is None else request.min_length)
        except ValueError as why:
            raise UsageError(str(why)) from None
        stream.progress({"done": 4, "of": 4})
        busy = "h1" if "busy" in request.texts.values() else ""
        for line in ROWS:
            row = {key: line[key] for key in ("id", "channel", "sender", "recipients")}
            stream.send({**row, "subject": "Cheap\x1b", "text": "a job has it" if line["id"] == busy else ""})
        return {"matched": 4, "done": 3 if busy else 4, "failed": 1 if busy else 0}

    def qm_messages(self, request: Any, caller: Any, stream: Any) -> Any:
        self._channel(request.channel)
        return [{"host": "b.example", "active": 1, "delayed": 2}]

    def qm_shares(self, request: Any, caller: Any, stream: Any) -> Any:
        share = {"share": "a.example", "weight": 3, "ready": 1, "active": 2, "handed": 9, "units": 12}
        shares = [{**share, "longest_wait": 1.25}]
        return [{"channel": "tcp_local", "jain": 0.876, "longest_wait": 1.25, "shares": shares}]

    def qm_jobs(self, request: Any, caller: Any, stream: Any) -> Any:
        return [
            {
                "job": "j1",
                "pid": 43,
                "channel": "tcp_local",
                "role": "master",
                "hosts": {"b.example": 2},
                "messages": ["a1", "a2"],
                "processed": 7,
                "failed": 1,
                "started": NOW,
            }
        ]

    def qm_start(self, request: Any, caller: Any, stream: Any) -> Any:
        self._channel(request.channel)
        return {"channels": [request.channel] if request.channel == "tcp_local" else []}

    def qm_stop(self, request: Any, caller: Any, stream: Any) -> Any:
        self._channel(request.channel)
        return {"channels": [request.channel]}

    def qm_hold(self, request: Any, caller: Any, stream: Any) -> Any:
        self.calls.append((request, caller))
        if "disk" in request.ids:
            raise StoreFull("no room")
        if "broken" in request.ids:
            raise StoreError("database is locked")
        if "bug" in request.ids:
            raise ZeroDivisionError("secret detail")
        if "config" in request.ids:
            raise ConfigError(["a.toml:1: x: wrong"])
        cannot = {"busy": ("a job has it", 75), "nosuch": (str(unknown_id("nosuch")), 66)}
        failed = [
            {"id": entry, "text": cannot[entry][0], "exit": cannot[entry][1]}
            for entry in request.ids
            if entry in cannot
        ]
        return {"done": [entry for entry in request.ids if entry not in cannot], "failed": failed}

    qm_release = qm_hold
    qm_retry = qm_hold
    qm_priority = qm_hold
    qm_move = qm_hold
    qm_reroute = qm_hold
    qm_redirect = qm_hold
    qm_return = qm_hold
    qm_delete = qm_hold

    def qm_preview(self, request: Any, caller: Any, stream: Any) -> Any:
        self.calls.append((request, caller))
        count = 0 if request.channel == "test_smtp_gateway" else 7
        return {"count": count, "octets": 7168, "sample": ROWS[:2], "snapshot": "Q77", "at": NOW}

    def undo(self, request: Any, caller: Any, stream: Any) -> Any:
        if request.operation == 404:
            raise unknown_operation(404)
        stream.progress({"operation": 13, "expected": 2, "found": 1, "done": 1, "unchanged": 0, "failed": 0})
        failed = [{"id": "a9", "text": "a job is delivering it", "exit": 75}]
        counts = {"count": 200, "unchanged": 3, "failures": 120}
        return {"done": ["a1"], "failed": failed, "operation": 13, "stage": "cancelled", **counts}

    def qm_operations(self, request: Any, caller: Any, stream: Any) -> Any:
        act = Act(12, NOW, "ann", "delete", "age>1h", stage=Stage.RUNNING, done=3, undo_until=NOW + 600)
        return [act, Act(11, NOW, "bob", "move", "Q1", "to l", ended=NOW)]

    def qm_watch(self, request: Any, caller: Any, stream: Any) -> Any:
        raise unknown_operation(request.operation)

    def qm_cancel(self, request: Any, caller: Any, stream: Any) -> Any:
        return {"operation": request.operation, "cancelled": request.operation == 12}

    def qm_audit(self, request: Any, caller: Any, stream: Any) -> Any:
        self.calls.append((request, caller))
        return [Act(10, NOW, request.who or "root", request.what or "stop", "tcp_*", "tcp_local")]

    def history(self, request: Any, caller: Any, stream: Any) -> Any:
        self.calls.append((request, caller))
        rows = [] if request.recipient == "nobody" else [dict(one) for one in HISTORY]
        for one in rows if request.attempts else ():
            one["lines"] = [
                {"when": NOW, "what": "deferred", "text": "450 x", "recipient": "", "host": "mx", "job": ""}
            ]
        return rows

    def counters(self, request: Any, caller: Any, stream: Any) -> Any:
        if request.channel is not None:
            self._channel(request.channel)
        counts = ChannelCounts(
            since=NOW, received=Volume(1200, 1350, 22000), delivered=Volume(1180, 1325, 22040)
        )
        counts.first_time, counts.queue_count, counts.queue_seconds = 1100, 1180, 5900.0
        counts.inbound.total = 7
        counts.authentications.accepted, counts.authentications.failed = 9, 4
        return [counter_row(name, counts, Volume(20, 25, 40), (2, 0), 0) for name in ("l", "tcp_local")]

    def counters_clear(self, request: Any, caller: Any, stream: Any) -> Any:
        return {"channels": ["l", "tcp_local"]}

    def hold_add(self, request: Any, caller: Any, stream: Any) -> Any:
        self.calls.append((request, caller))
        expires = None if request.expires is None else NOW + request.expires
        rule = {"rule": 12, "where": request.where, "reason": request.reason, "author": "root", "since": NOW}
        return {**rule, "expires": expires, "release": request.release, "cause": f"rule 12: {request.reason}"}

    def hold_list(self, request: Any, caller: Any, stream: Any) -> Any:
        return [self.hold_add(HoldAdd(where="age>1h", reason="why", expires=3600.0), caller, stream)]

    def hold_remove(self, request: Any, caller: Any, stream: Any) -> Any:
        if request.rule != 12:
            raise unknown_hold_rule(request.rule)
        rule = self.hold_add(HoldAdd(where="age>1h"), caller, stream)
        released = {"done": ["a1"], "failed": [], "operation": 14, "count": 1}
        return {**rule, "released": released if request.release else None}

    def ledger(self, request: Any, caller: Any, stream: Any) -> Any:
        return ledger_rows({"l": LEDGER, "tcp_local": {**LEDGER, "queued": 2}})

    def qm_damaged(self, request: Any, caller: Any, stream: Any) -> Any:
        return []

    def qm_salvage(self, request: Any, caller: Any, stream: Any) -> Any:
        return self.qm_hold(request, caller, stream) | {"queued": {"a1": ["a1"]}}

    def qm_abandon(self, request: Any, caller: Any, stream: Any) -> Any:
        return self.qm_hold(request, caller, stream)

    async def qm_read(self, request: Any, caller: Any, stream: Any) -> Any:
        if request.message == "nosuch":
            raise unknown_id(request.message)
        stream.send({**ROWS[0], "reason": "", "envelope_id": "E1", "source": {"channel": "tcp_local"}})
        content = b"Subject: hi\x1b[2J\r\n\r\n" + (b"Hello\r\n" * 100_000 if request.content else b"")
        slow = stream.content(content)
        if slow is not None:
            await slow
        return {"octets": len(content)}

    def qm_history(self, request: Any, caller: Any, stream: Any) -> Any:
        if "nosuch" in request.ids:
            raise unknown_id("nosuch")
        keys = ("id", "when", "what", "text", "recipient", "host", "job")
        values = [
            (entry, NOW, "deferred", "451 later", "bob@b.example", "mx.b.example", "j1")
            for entry in request.ids
        ]
        return [dict(zip(keys, line, strict=True)) for line in values]

    def _channel(self, name: str) -> None:
        if name not in CHANNELS:
            raise unknown_channel(name, CHANNELS)


if __name__ == "__main__":
    from twisted.internet import reactor

    from jobctl.control.listener import listen
    from jobctl.control.peer import daemon_rights
    from jobctl.control.server import ControlFactory

    listen(reactor, sys.argv[1], ControlFactory(FakeOperations(), daemon_rights(None, ()), reactor))
    print("ready", flush=True)
    reactor.run()  # type: ignore[attr-defined]
