"""tcp_smtp_client as a real process: what becomes of messages at servers good and bad."""

import os
import resource
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from channels.kit.client_security import ClientSecurity
from channels.tcp import pool
from jobctl.jobprotocol.frames import PIECE, Ask, HelloProgram, Message, Report, Sent
from jobctl.mail.disposition import Verdict
from tests.dns_server import Zone
from tests.ports import free_port
from tests.tcp_support import (
    BODY,
    NameServerThread,
    Peer,
    Program,
    Wire,
    channel,
    memory,
    message,
    serve,
)

MODULE = "channels.tcp_smtp_client"
Script = Callable[[Wire, int], None]


def client(port: int, **changes: Any) -> Program:
    how = {name: changes.pop(name) for name in ("handle", "journal", "environment") if name in changes}
    return Program(MODULE, channel(port=port, **changes), **how)


def deliver(port: int, count: int = 1, **changes: Any) -> list[Report]:
    """Reports, by id, of that many messages handed to one client."""
    with client(port, **changes) as program:
        for at in range(count):
            program.send(message(f"E{at}"), BODY)
        reports = [program.expect(Report) for _ in range(count)]
        assert program.stop() == 0, program.log
    return sorted(reports, key=lambda report: report.id)


def deliver_to(scripts: list[Script], count: int, **changes: Any) -> list[list[Report]]:
    """Messages to as many hosts as there are scripts, through one client: the reports of each host."""
    with ExitStack() as stack:
        peers: list[Peer] = []
        for at, script in enumerate(scripts):
            port = peers[0].port if peers else 0
            peers.append(stack.enter_context(Peer(script, f"127.0.1.{at + 1}", port)))
        program = stack.enter_context(client(peers[0].port, **changes))
        for at in range(len(scripts)):
            for number in range(count):
                program.send(message(f"E{at}x{number}", host=f"[127.0.1.{at + 1}]"), BODY)
        found = {(report := program.expect(Report)).id: report for _ in range(len(scripts) * count)}
        assert program.stop() == 0, program.log
    return [[found[f"E{at}x{number}"] for number in range(count)] for at in range(len(scripts))]


def test_delivers() -> None:
    """A message arrives octet for octet; the report names the host, its words and the connection."""
    taken: list[bytes] = []
    content = b"Subject: t\r\n\r\n.\r\n..two\r\n" + bytes(range(128, 256)) + b"\r\nno end of line"
    with Peer(serve(taken)) as peer, client(peer.port) as program:
        program.send(message("E1", content=content), content)
        report = program.expect(Report)
        assert program.stop() == 0
    assert taken == [content + b"\r\n"]
    assert (
        report.verdict is Verdict.DELIVERED
        and report.reply == "250 2.0.0 taken"
        and report.scope == "recipient"
    )
    assert report.remote == "[127.0.0.1]"
    parts = report.transport.split("|")
    assert parts[0] == "TCP" and parts[1] == parts[3] == "127.0.0.1" and parts[4] == str(peer.port)


def test_hello_and_credit() -> None:
    """It says how many connections it serves, and asks for eleven messages for each of them."""
    with client(free_port(), options={"max_client_threads": 3}) as program:
        assert program.hello.connections == 3 and program.hello.window == 1
        assert program.expect(Ask).n == 33


def test_credit_is_renewed() -> None:
    """For what it has reported it asks anew, so that work never runs out."""
    with Peer(serve()) as peer, client(peer.port, options={"max_client_threads": 2}) as program:
        assert program.expect(Ask).n == 22
        asked = 0
        for at in range(20):
            program.send(message(f"E{at}"), BODY)
        while asked < 18:
            asked += program.expect(Ask).n


def test_many_messages_one_connection() -> None:
    """Messages for one host share a connection; a second is opened beyond threaddepth only."""
    with Peer(serve()) as peer:
        reports = deliver(peer.port, 10)
        assert peer.count == 1
        assert {report.verdict for report in reports} == {Verdict.DELIVERED}


def test_threaddepth() -> None:
    """More messages in hand than threaddepth for each connection open further ones, up to the limit."""
    gate = threading.Barrier(3, timeout=20)

    def script(wire: Wire, number: int) -> None:
        wire.greet("PIPELINING")
        gate.wait()
        while wire.transaction() is not None:
            pass

    with Peer(script) as peer:
        reports = deliver(peer.port, 30, threaddepth=2, options={"max_client_threads": 3})
        assert peer.count == 3
    assert {report.verdict for report in reports} == {Verdict.DELIVERED}


def test_attempt_transactions_per_session() -> None:
    """After so many messages the connection is closed, and another carries on."""
    with Peer(serve()) as peer:
        reports = deliver(peer.port, 6, options={"attempt_transactions_per_session": 2})
        assert peer.count == 3
    assert {report.verdict for report in reports} == {Verdict.DELIVERED}


def test_recipients_apart() -> None:
    """Each recipient has the verdict its own reply gave."""

    def answer(line: bytes) -> str:
        replies = {b"no": "550 5.1.1 unknown", b"later": "451 4.2.1 busy"}
        return next((reply for word, reply in replies.items() if b"<" + word in line), "250 ok")

    with Peer(serve(answer=answer)) as peer, client(peer.port) as program:
        program.send(message("E1", to=("no@b.example", "later@b.example", "yes@b.example")), BODY)
        report = program.expect(Report)
    assert report.verdict is None
    found = {one.recipient.split("@")[0]: (one.verdict, one.status) for one in report.results}
    assert found == {
        "no": (Verdict.FAILED, "5.1.1"),
        "later": (Verdict.DEFERRED, "4.2.1"),
        "yes": (Verdict.DELIVERED, "2.0.0"),
    }
    assert {one.remote for one in report.results} == {"[127.0.0.1]"}


def test_connect_refused() -> None:
    """Nobody listens: the host failed, no message is blamed."""
    for report in deliver(free_port(), 3):
        assert (report.verdict, report.scope, report.status) == (Verdict.DEFERRED, "host", "4.4.1")
        assert "refused" in report.reply


def test_banners() -> None:
    """A banner of 5xx bounces; any other failure to greet defers and blames the host."""
    banners = ["554 5.7.1 go away", "421 4.3.2 too busy", "450 4.3.2 too busy", "garbage", ""]

    def script(banner: str, wire: Wire, number: int) -> None:
        if banner:
            wire.say(banner)
            wire.until_closed()

    reports = deliver_to([partial(script, banner) for banner in banners], 2)
    assert [(report.verdict, report.scope) for report in reports[0]] == [(Verdict.FAILED, "recipient")] * 2
    for two in reports[1:]:
        assert [(report.verdict, report.scope) for report in two] == [(Verdict.DEFERRED, "host")] * 2


def test_helo_after_a_drop() -> None:
    """A server that hangs up on EHLO is asked again with HELO."""
    taken: list[bytes] = []

    def script(wire: Wire, number: int) -> None:
        wire.say("220 old server")
        if not wire.line().startswith(b"HELO"):
            return
        wire.say("250 old")
        taken.append(wire.transaction() or b"")
        wire.transaction()

    with Peer(script) as peer:
        assert deliver(peer.port)[0].verdict is Verdict.DELIVERED
        assert peer.count == 2 and taken == [BODY]


def test_lost_midway() -> None:
    """421 or a lost connection at any step defers, never bounces; the next message gets a new connection."""

    def script(step: bytes, reply: str, wire: Wire, number: int) -> None:
        wire.greet()
        if number:
            while wire.transaction() is not None:
                pass
            return
        while not (line := wire.line()).startswith(step):
            wire.say("354 go" if line == b"DATA" else "250 ok")
            if line == b"DATA":
                wire.content()
                break
        if reply:
            wire.say(reply)

    cases = [
        (step, reply) for step in (b"MAIL", b"RCPT", b"DATA", b".") for reply in ("421 4.3.2 closing", "")
    ]
    for first, second in deliver_to([partial(script, *case) for case in cases], 2):
        assert first.verdict is Verdict.DEFERRED and first.status[0] == "4"
        assert second.verdict is Verdict.DELIVERED


def test_reused_connection_lost() -> None:
    """A server that leaves between two messages costs the second one nothing: it goes again by itself."""

    def script(wire: Wire, number: int) -> None:
        wire.greet("PIPELINING")
        wire.transaction()
        if number < 2:
            wire.line()
            return
        while wire.transaction() is not None:
            pass

    with Peer(script) as peer:
        reports = deliver(peer.port, 4)
        assert peer.count == 3
    assert [report.verdict for report in reports] == [Verdict.DELIVERED] * 4


def test_stalls() -> None:
    """A server that says nothing is left after the time for that reply."""
    steps = ["banner", "EHLO", "MAIL", "dot"]

    def script(step: str, wire: Wire, number: int) -> None:
        if step == "EHLO":
            wire.say("220 peer ESMTP")
        elif step in ("MAIL", "dot"):
            wire.greet()
        if step == "dot":
            for answer in ("250 ok", "250 ok", "354 go"):
                wire.line()
                wire.say(answer)
        wire.until_closed()

    reports = deliver_to([partial(script, step) for step in steps], 1, options={"timeout_multiplier": 0.02})
    for step, (report,) in zip(steps, reports, strict=True):
        assert report.verdict is Verdict.DEFERRED and "time" in report.reply
        assert report.scope == ("host" if step in ("banner", "EHLO") else "recipient")


def test_next_address() -> None:
    """The second address of a host takes what the first will not; HELO is said anew there."""
    zone = Zone("h.example. 60 A 127.0.0.1\nh.example. 60 A 127.0.0.2\nh.example. 60 A 127.0.0.3")
    taken: list[bytes] = []

    def busy(wire: Wire, number: int) -> None:
        wire.say("421 4.3.2 busy")

    with NameServerThread(zone) as names, Peer(busy, "127.0.0.2") as second:
        third = Peer(serve(taken), "127.0.0.3", second.port)
        with third, client(second.port, nameservers=(names.address,)) as program:
            program.send(message("E1", host="h.example"), BODY)
            report = program.expect(Report)
            assert program.stop() == 0
    assert report.verdict is Verdict.DELIVERED and report.remote == "h.example"
    assert report.transport.split("|")[3] == "127.0.0.3"
    assert taken == [BODY] and second.count == 1


def test_names_that_lead_nowhere() -> None:
    """No such host and null MX bounce; a name service in trouble defers the host."""
    zone = Zone("null.example. 60 MX 0 .\nsick.example. 60 A 127.0.0.1")
    zone.rcodes["sick.example."] = 2
    with (
        NameServerThread(zone) as names,
        client(25, mx="nonrandommx", nameservers=(names.address,)) as program,
    ):
        for at, host in enumerate(("none.example", "null.example", "sick.example")):
            program.send(message(f"E{at}", host=host), BODY)
        found = {(r := program.expect(Report)).id: (r.verdict, r.status, r.scope) for _ in range(3)}
    assert found == {
        "E0": (Verdict.FAILED, "5.1.2", "recipient"),
        "E1": (Verdict.FAILED, "5.1.10", "recipient"),
        "E2": (Verdict.DEFERRED, "4.4.3", "host"),
    }


def test_operators_names_that_lead_nowhere() -> None:
    """A gateway or a last resort that does not exist is a mistake of the configuration: mail waits."""
    zone = Zone("down.example. 60 A 127.0.0.1")
    with (
        NameServerThread(zone) as names,
        client(1, nameservers=(names.address,), lastresort="last.example") as program,
    ):
        program.send(message("E0", host="", gateway="gate.example"), BODY)
        program.send(message("E1", host="down.example"), BODY)
        found = {(r := program.expect(Report)).id: (r.verdict, r.status, r.scope) for _ in range(2)}
    deferred = (Verdict.DEFERRED, "4.4.4", "host")
    assert found == {"E0": deferred, "E1": deferred}


def test_gateway() -> None:
    """With a gateway all hosts go to it, over one connection."""
    with Peer(serve()) as peer, client(peer.port) as program:
        for at in range(3):
            program.send(message(f"E{at}", host="", gateway="[127.0.0.1]"), BODY)
        assert {program.expect(Report).verdict for _ in range(3)} == {Verdict.DELIVERED}
        assert peer.count == 1


def test_last_resort() -> None:
    """A host that cannot be connected to hands over to the last resort; one that refuses does not."""
    with Peer(serve(), "127.0.0.2") as peer:
        (report,) = deliver(peer.port, 1, lastresort="[127.0.0.2]")
        assert report.verdict is Verdict.DELIVERED and report.remote == "[127.0.0.2]"

    def refuse(wire: Wire, number: int) -> None:
        wire.say("421 no")

    with Peer(serve(), "127.0.0.2") as peer, Peer(refuse, "127.0.0.1", peer.port):
        (report,) = deliver(peer.port, 1, lastresort="[127.0.0.2]")
        assert report.verdict is Verdict.DEFERRED and peer.count == 0


def test_connections_of_a_host_are_limited() -> None:
    """With max_connections_per_host a host has no more, however much is in hand, and none is kept idle."""
    open_now, most, lock = 0, 0, threading.Lock()

    def script(wire: Wire, number: int) -> None:
        nonlocal open_now, most
        with lock:
            open_now += 1
            most = max(most, open_now)
        try:
            serve()(wire, number)
        finally:
            with lock:
                open_now -= 1

    with Peer(script) as peer:
        with client(peer.port, threaddepth=1, max_connections_per_host=2) as program:
            for at in range(30):
                program.send(message(f"E{at}"), BODY)
            for _ in range(30):
                assert program.expect(Report).verdict is Verdict.DELIVERED
            assert program.stop() == 0
        assert most == 2


def test_site_is_told() -> None:
    """Where mail of a host goes is told with the first report of a connection, if the channel wants to know."""
    with Peer(serve()) as peer:
        with client(peer.port, group_by_mx=True) as program:
            for at in range(3):
                program.send(message(f"E{at}"), BODY)
            sites = [program.expect(Report).site for _ in range(3)]
            assert program.stop() == 0
        assert sites == ["[127.0.0.1]", "", ""]
        assert {report.site for report in deliver(peer.port, 2)} == {""}


def test_hosts_share_the_connections() -> None:
    """With one connection in all, a host with much mail lets the others have their turn."""
    peers = [Peer(serve(), "127.0.0.1")]
    peers += [Peer(serve(), f"127.0.0.{at}", peers[0].port) for at in (2, 3)]
    sent = 0

    def handle(program: Program, frame: Any, content: bytes) -> bool:
        # The first host is never without work until the others are done.
        nonlocal sent
        if isinstance(frame, Report) and frame.id.startswith("A") and sent < 100_000:
            sent += 1
            program.send(message(f"A{sent}", host="[127.0.0.1]"), BODY)
            return True
        return False

    with client(peers[0].port, options={"max_client_threads": 1}, handle=handle) as program:
        for at in range(5):
            program.send(message(f"A-{at}", host="[127.0.0.1]"), BODY)
        program.send(message("B", host="[127.0.0.2]"), BODY)
        program.send(message("C", host="[127.0.0.3]"), BODY)
        for id in ("B", "C"):
            assert (
                program.expect(Report, where=lambda report, id=id: report.id == id).verdict
                is Verdict.DELIVERED
            )
        sent = 100_000
        assert program.stop() == 0
    for peer in peers:
        peer.__exit__()


def test_idle_connection_makes_room() -> None:
    """A connection kept for later mail is given up at once when another host needs it."""
    with Peer(serve(), "127.0.0.1") as first, Peer(serve(), "127.0.0.2", first.port) as second:
        with client(second.port, options={"max_client_threads": 1}) as program:
            for id, host in (("E1", "[127.0.0.1]"), ("E2", "[127.0.0.2]"), ("E3", "[127.0.0.1]")):
                program.send(message(id, host=host), BODY)
                assert program.expect(Report).verdict is Verdict.DELIVERED
            assert program.stop() == 0
        assert first.count == 2


def test_host_without_a_connection_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """When those that have the connections say nothing, mail of the others is given back at once, unharmed."""
    clock = Clock()
    monkeypatch.setattr(pool.time, "monotonic", clock.seconds)
    sent: list[Any] = []
    link = Mock(progress=0, send=sent.append)
    # Names are never resolved: each destination seeks for ever, as silent as can be.
    mute = Mock(next_hops=lambda name, channel: Deferred())
    settings = channel(options={"max_client_threads": 1})
    here = pool.Pool(clock, link, settings, mute, ClientSecurity(settings), lambda: None)
    for id, host in (("E1", "silent.example"), ("E2", "other.example")):
        here.assign(message(id, host=host), BODY)
    here.work()
    clock.pump([1.0] * 10)
    assert sent == []
    clock.advance(2)
    (report,) = [frame for frame in sent if isinstance(frame, Report)]
    assert (report.id, report.verdict, report.scope, report.retry) == ("E2", Verdict.DEFERRED, "local", 0.0)
    assert list(here.destinations) == [("silent.example", None)]
    here.abort()


def test_announced_by_journal_before_the_dot() -> None:
    """Before a final dot leaves, its message stands in the journal."""
    reader, writer = os.pipe()

    def script(wire: Wire, number: int) -> None:
        wire.greet("PIPELINING")
        wire.transaction()
        seen.append(os.read(reader, 100))
        wire.until_closed()

    seen: list[bytes] = []
    with Peer(script) as peer, client(peer.port, journal=writer) as program:
        program.send(message("E7", attempt=3), BODY)
        program.expect(Report)
    assert seen == [b"E7 3\n"]
    os.close(reader)
    os.close(writer)


def test_announced_by_frame() -> None:
    """Without a journal a sent frame comes before the report, and before the dot."""
    arrived = threading.Event()

    def script(wire: Wire, number: int) -> None:
        wire.greet()
        for answer in ("250 ok", "250 ok", "354 go"):
            wire.line()
            wire.say(answer)
        wire.content()
        arrived.set()
        wire.until_closed()

    with Peer(script) as peer, client(peer.port) as program:
        program.send(message("E7"), BODY)
        assert program.expect(Sent, Report) == Sent(id="E7")
        assert arrived.wait(20)
        program.hang_up()
        assert program.wait() == 75


def test_controller_gone_before_the_dot() -> None:
    """When the controller is gone, a message whose dot has not left never arrives."""
    complete = threading.Event()
    begun = threading.Event()

    def script(wire: Wire, number: int) -> None:
        wire.greet()
        for answer in ("250 ok", "250 ok", "354 go"):
            wire.line()
            wire.say(answer)
        begun.set()
        wire.content()
        complete.set()

    with Peer(script) as peer, client(peer.port) as program:
        program.send(message("E1", octets=2 * PIECE, more=True), b"x" * 70 + b"\r\n")
        assert begun.wait(20)
        program.hang_up()
        assert program.wait() == 75
    assert not complete.is_set()
    assert b"closed the link" in program.log


def test_stop_gives_back() -> None:
    """Told to stop, it finishes what is under way and gives back the rest untried, for another job at once."""
    begun, go = threading.Event(), threading.Event()

    def script(wire: Wire, number: int) -> None:
        wire.greet()
        assert wire.line().startswith(b"MAIL")
        begun.set()
        go.wait(20)
        wire.say("250 ok")
        while wire.transaction() is not None:
            pass

    def handle(program: Program, frame: Any, content: bytes) -> bool:
        if isinstance(frame, Report) and frame.scope == "local":
            go.set()
        return False

    with Peer(script) as peer, client(peer.port, handle=handle) as program:
        for at in range(3):
            program.send(message(f"E{at}"), BODY)
        assert begun.wait(20)
        assert program.stop() == 0
        reports = {(r := program.expect(Report)).id: (r.verdict, r.scope, r.retry) for _ in range(3)}
    assert reports["E0"] == (Verdict.DELIVERED, "recipient", None)
    assert reports["E1"] == reports["E2"] == (Verdict.DEFERRED, "local", 0.0)


def test_large_message_bounded_memory() -> None:
    """A message of 100 MB goes through a process that stays small."""
    piece = (b"x" * 126 + b"\r\n") * (PIECE // 128)
    total = 400
    size = [0]

    def script(wire: Wire, number: int) -> None:
        wire.greet("PIPELINING")
        for answer in ("250 ok", "250 ok", "354 go"):
            wire.line()
            wire.say(answer)
        tail = b""
        while not tail.endswith(b"\r\n.\r\n"):
            data = wire.socket.recv(1 << 20)
            size[0] += len(data)
            tail = (tail + data)[-5:]
        wire.say("250 2.0.0 taken")
        wire.transaction()

    with Peer(script) as peer, client(peer.port) as program:
        program.expect(Ask)
        before = memory(program.pid)
        first = message("E1")
        program.send(Message(**{**_fields(first), "octets": total * PIECE, "more": True}), piece)
        sent, credit = 1, 0
        while sent < total:
            while credit == 0:
                credit += program.expect(Ask, where=lambda ask: ask.id == "E1").n
            credit -= 1
            sent += 1
            program.send(Message(id="E1", more=sent < total), piece)
        assert program.expect(Report).verdict is Verdict.DELIVERED
        assert memory(program.pid) - before < 40_000_000
        assert program.stop() == 0
    assert size[0] == total * PIECE + 3


def _fields(frame: Message) -> dict[str, Any]:
    return {name: getattr(frame, name) for name in frame.__struct_fields__ if name != "size"}


def test_source_address() -> None:
    """interfaceaddress is where connections come from."""
    with Peer(serve()) as peer:
        assert deliver(peer.port, interfaceaddress="127.0.0.9")[0].verdict is Verdict.DELIVERED
        assert peer.sources == ["127.0.0.9"]


def test_master_debug() -> None:
    """master_debug shows the dialogue on the log stream, with content by its size only."""
    with Peer(serve()) as peer, client(peer.port, master_debug=True) as program:
        program.send(message("E1"), BODY)
        program.expect(Report)
        assert program.stop() == 0
    log = program.log.decode()
    assert 'Sending : "MAIL FROM:<ann@a.example>' in log and 'Received : "250 2.0.0 taken"' in log
    assert "hello" not in log and "octets of content" in log


def test_no_descriptors_left() -> None:
    """Without descriptors for connections mail is deferred, and the program goes on."""
    with Peer(serve()) as peer, client(peer.port) as program:
        program.expect(Ask)
        _, hard = resource.prlimit(program.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(program.pid, resource.RLIMIT_NOFILE, (5, hard))
        program.send(message("E1"), BODY)
        assert program.expect(Report).scope == "host"
        resource.prlimit(program.pid, resource.RLIMIT_NOFILE, (100, hard))
        program.send(message("E2"), BODY)
        assert program.expect(Report).verdict is Verdict.DELIVERED


def test_wrong_frames() -> None:
    """A controller that sends nonsense, or another version, is left with a clear line."""
    with client(free_port()) as program:
        os.write(program._write, b"garbage\n")
        assert program.wait() == 75
        assert b"broke the protocol" in program.log
    with client(free_port()) as program:
        program.send(HelloProgram(version=1, name="x"))
        assert program.wait() in (75, 78)


@pytest.mark.parametrize("unasked", ["421 4.7.0 too many of you", "250 what you did not ask"])
def test_a_peer_that_greets_and_leaves(unasked: str) -> None:
    """Who ends each session right behind EHLO is called once, not again at once: its host waits, uncharged."""

    def script(wire: Wire, number: int) -> None:
        wire.say("220 peer ESMTP")
        wire.line()
        wire.say("250-peer", "250 PIPELINING", unasked)
        wire.line()

    with Peer(script) as peer:
        (report, other) = deliver(peer.port, 2)
        assert peer.count == 1
    assert {report.verdict, other.verdict} == {Verdict.DEFERRED}
    assert (report.scope, report.reply.startswith(unasked[:3])) == ("host", unasked.startswith("421"))
