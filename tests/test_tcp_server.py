"""tcp_smtp_server as a real process: what clients are told, and what the controller gets."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jobctl.jobprotocol.frames import PIECE, Accepted, Event, Refused, Route, Stop, Submit, VerdictFrame
from tests.dns_server import Zone
from tests.tcp_support import (
    Intake,
    NameServerThread,
    Program,
    channel,
    listening,
    memory,
    service,
)

MODULE = "channels.tcp_smtp_server"
RELAY = service(relay_from=("127.0.0.0/8",))
CONTENT = b"Subject: t\r\n\r\n..dot\r\nhello\r\n"
Handle = Callable[[Program, Any, bytes], bool]


class Server:
    """The program with one listening socket."""

    def __init__(self, handle: Handle | None = None, service: Any = RELAY, **changes: Any) -> None:
        how = {name: changes.pop(name) for name in ("mta", "environment", "others") if name in changes}
        self.socket = listening()
        self.address = self.socket.getsockname()
        self.program = Program(
            MODULE, channel(**changes), listen=(self.socket,), service=service, handle=handle, **how
        )

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *exc: Any) -> None:
        self.socket.close()
        self.program.close()


class Client:
    """An SMTP client that says what it is told to."""

    def __init__(self, address: Any, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(address, timeout=20, source_address=(source, 0))
        self._in = self.socket.makefile("rb")

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc: Any) -> None:
        self._in.close()
        self.socket.close()

    def reply(self) -> str:
        """The next reply, lines joined by newlines; ``""`` at the end of the connection."""
        lines = []
        while True:
            try:
                line = self._in.readline().decode().rstrip("\r\n")
            except ConnectionError:
                return ""
            lines.append(line)
            if line[3:4] != "-":
                return "\n".join(lines)

    def say(self, *lines: str) -> str:
        """Send lines and return the reply to the last one."""
        reply = ""
        for line in lines:
            self.socket.sendall(line.encode() + b"\r\n")
            reply = self.reply()
        return reply

    def begin(self, to: str = "bob@b.example") -> str:
        """As far as the go-ahead for content, or what stands in the way."""
        self.reply()
        self.say("EHLO client.example")
        for line in ("MAIL FROM:<ann@a.example>", f"RCPT TO:<{to}>", "DATA"):
            reply = self.say(line)
            if reply[0] not in "23":
                return reply
        return reply

    def content(self, data: bytes) -> str:
        self.socket.sendall(data + b".\r\n")
        return self.reply()


def test_accepts() -> None:
    """A message reaches the controller octet for octet behind our Received field, and 250 names its id."""
    intake = Intake()
    with Server(intake) as server, Client(server.address) as client:
        assert client.begin().startswith("354")
        assert client.content(CONTENT) == "250 2.5.0 Ok, E1"
        assert client.say("QUIT").startswith("221")
        ours = client.socket.getsockname()
        assert server.program.stop() == 0
    ((submit, data),) = intake.messages
    field, rest = data[: data.index(b"Subject")], data[data.index(b"Subject") :]
    assert rest == CONTENT.replace(b"..dot", b".dot")
    assert field.startswith(b"Received: from client.example (") and b"[127.0.0.1]" in field
    assert (
        b"with ESMTP id" in field and submit.envelope_id.encode() in field and b"for <bob@b.example>" in field
    )
    assert submit.octets == len(data) and submit.envelope.sender == "ann@a.example"
    assert submit.source.transport == f"TCP|127.0.0.1|{server.address[1]}|127.0.0.1|{ours[1]}"
    assert submit.source.application == "SMTP/client.example" and submit.source.channel == "tcp_local"


def test_pipelining() -> None:
    """Commands and the next transaction sent ahead are answered in their order, message after message."""
    intake = Intake()
    commands = b"MAIL FROM:<>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"
    with Server(intake) as server, Client(server.address) as client:
        client.reply()
        client.say("EHLO c.example")
        client.socket.sendall(commands)
        for at in range(5):
            assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
            client.socket.sendall(b"N: %d\r\n.\r\n" % at + commands)
            assert client.reply() == f"250 2.5.0 Ok, E{at + 1}"
    assert [data.rsplit(b"N: ")[-1] for _, data in intake.messages] == [b"%d\r\n" % at for at in range(5)]


def test_refused_by_the_controller() -> None:
    """What the controller refuses is refused with its words; the session goes on."""

    def handle(program: Program, frame: Any, content: bytes) -> bool:
        if isinstance(frame, Submit):
            program.send(Refused(id=frame.id, code=452, status="4.3.1", text="no room"))
        return True

    with Server(handle) as server, Client(server.address) as client:
        client.begin()
        assert client.content(CONTENT) == "452 4.3.1 no room"
        assert client.say("RSET").startswith("250")


def test_strangers_are_asked_about() -> None:
    """Recipients of clients that may not relay are decided by the controller; a yes is remembered a while."""
    asked: list[Route] = []

    def handle(program: Program, frame: Any, content: bytes) -> bool:
        if isinstance(frame, Route):
            asked.append(frame)
            fine = frame.recipient.endswith("@ours.example")
            program.send(
                VerdictFrame(id=frame.id, code=250, status="2.1.5", text="fine")
                if fine
                else VerdictFrame(id=frame.id, code=550, status="5.7.1", text="Relaying not allowed")
            )
        return True

    with Server(handle, service()) as server, Client(server.address) as client:
        client.reply()
        client.say("EHLO c.example", "MAIL FROM:<a@a.example>")
        for _ in range(2):
            assert client.say("RCPT TO:<x@ours.example>") == "250 2.1.5 fine"
            assert client.say("RCPT TO:<x@theirs.example>") == "550 5.7.1 Relaying not allowed"
    assert [one.recipient for one in asked] == ["x@ours.example", "x@theirs.example", "x@theirs.example"]
    assert asked[0].sender == "a@a.example" and asked[0].source.transport.startswith("TCP|127.0.0.1|")


def test_relay_networks() -> None:
    """Only clients of relay_from are trusted, each by its own address."""
    routes: list[Route] = []

    def handle(program: Program, frame: Any, content: bytes) -> bool:
        if isinstance(frame, Route):
            routes.append(frame)
            program.send(VerdictFrame(id=frame.id, code=550, status="5.7.1", text="no"))
        return True

    with Server(handle, service(relay_from=("127.0.0.2", "::1"))) as server:
        with Client(server.address, "127.0.0.2") as friend:
            assert friend.begin().startswith("354")
        with Client(server.address, "127.0.0.3") as stranger:
            assert stranger.begin().startswith("550")
    assert len(routes) == 1


def test_too_many_connections() -> None:
    """Beyond max_conns a client is told at once, and the others are served on."""
    with (
        Server(service=service(max_conns=1, relay_from=("127.0.0.1",))) as server,
        Client(server.address) as client,
    ):
        assert client.reply().startswith("220")
        for _ in range(3):
            with Client(server.address) as other:
                assert other.reply().startswith("421 4.3.2")
                assert other.reply() == ""
        assert client.say("NOOP").startswith("250")
        assert client.say("QUIT").startswith("221")
        assert client.reply() == ""
        with Client(server.address) as other:
            assert other.reply().startswith("220")


def test_loop() -> None:
    """A message with too many Received fields is refused, small or large, and the session goes on."""
    looped = b"Received: by x\r\n" * 4 + b"\r\nbody\r\n"
    intake = Intake()
    with Server(intake, mta={"max_received_lines": 3}) as server, Client(server.address) as client:
        client.begin()
        assert client.content(looped).startswith("554 5.4.6")
        client.say("MAIL FROM:<a@a.example>", "RCPT TO:<b@b.example>", "DATA")
        assert client.content(looped + b"x" * 70 + b"\r\n" * PIECE).startswith("554 5.4.6")
        client.say("MAIL FROM:<a@a.example>", "RCPT TO:<b@b.example>", "DATA")
        assert client.content(b"Received: by x\r\n\r\n" + looped).startswith("250")
    assert len(intake.messages) == 1


def test_size_limit() -> None:
    """block_limit of the controller's configuration is announced and kept."""
    with Server(mta={"block_limit": 1000}) as server, Client(server.address) as client:
        client.reply()
        assert "SIZE 1000" in client.say("EHLO c.example")
        assert client.say("MAIL FROM:<a@a.example> SIZE=2000").startswith("552")


def test_large_message_bounded_memory() -> None:
    """100 MB come in through a process that stays small, also when the controller is slow."""
    line = b"x" * 126 + b"\r\n"
    piece = line * (PIECE // 128)
    sizes: list[int] = []
    intake = Intake()
    slow = threading.Event()

    def handle(program: Program, frame: Any, content: bytes) -> bool:
        if isinstance(frame, Submit) and not sizes:
            slow.wait(20)  # not a word is read until much has been offered
        if isinstance(frame, Submit):
            sizes.append(len(content))
            if not frame.more:
                program.send(Accepted(id=frame.id, ids=("E1",)))
            return True
        return intake(program, frame, content)

    with Server(handle) as server, Client(server.address) as client:
        client.begin()
        before = memory(server.program.pid)
        client.socket.setblocking(False)
        offered, data = 0, memoryview(piece)
        quiet = 0
        while quiet < 20:
            try:
                sent = client.socket.send(data)
            except BlockingIOError:
                threading.Event().wait(0.01)
                quiet += 1
                continue
            quiet = 0
            offered += sent
            data = data[sent:] or memoryview(piece)
        # The server has stopped reading: what went in fits its bounds and the kernel's.
        assert offered < 30_000_000
        slow.set()
        client.socket.setblocking(True)
        client.socket.settimeout(20)
        client.socket.sendall(data)
        offered += len(data)
        while offered < 400 * PIECE:
            client.socket.sendall(piece)
            offered += len(piece)
        assert client.content(b"").startswith("250")
        assert memory(server.program.pid) - before < 40_000_000
    assert sum(sizes) - offered in range(50, 500)
    assert max(sizes) <= PIECE


def test_lost_in_the_middle() -> None:
    """A client that leaves in the middle of a large message leaves nothing behind."""
    intake = Intake()
    begun = threading.Event()
    aborted = threading.Event()

    def handle(program: Program, frame: Any, content: bytes) -> bool:
        if isinstance(frame, Submit):
            (aborted if frame.abort else begun).set()
        return intake(program, frame, content)

    with Server(handle) as server:
        with Client(server.address) as client:
            client.begin()
            client.socket.sendall(b"line\r\n" * PIECE)
            assert begun.wait(20)
        assert aborted.wait(20)
    assert intake.messages == [] and intake.aborted == 1


def test_a_client_that_only_listens() -> None:
    """Who has said all and shuts its writing side hears the replies to it, however long the questions take."""

    def handle(program: Program, frame: Any, content: bytes) -> bool:
        if isinstance(frame, Submit):
            program.send(Accepted(id=frame.id, ids=("E1",)))
        return isinstance(frame, Submit)

    with Server(handle, service(), logging=True) as server, Client(server.address) as client:
        client.socket.sendall(
            b"EHLO c\r\nMAIL FROM:<ann@a.example>\r\nRCPT TO:<bob@b.example>\r\nDATA\r\n"
            + CONTENT
            + b".\r\nRSET\r\n"
        )
        client.socket.shutdown(socket.SHUT_WR)
        asked = server.program.expect(Route)
        with Client(server.address) as other:  # by now it is known that the first says nothing more
            other.reply()
            other.say("NOOP", "QUIT")
            other.reply()
        server.program.expect(Event, where=lambda frame: frame.event == "closed")
        server.program.send(VerdictFrame(id=asked.id, code=250, status="2.1.5", text="ok"))
        assert [client.reply()[:3] for _ in range(8)] == ["220", "250", "250", "250", "354", "250", "250", ""]
        closed = server.program.expect(Event, where=lambda frame: frame.event == "closed")
        assert closed.text == "connection closed by the peer"


def test_timeouts() -> None:
    """A silent client is told 421 and left, before and within a message."""
    with Server(options={"timeout_multiplier": 0.05}) as server:
        with Client(server.address) as client:
            client.reply()
            assert client.reply().startswith("421 4.4.2")
            assert client.reply() == ""
        with Client(server.address) as client:
            client.begin()
            client.socket.sendall(b"half a line")
            assert client.reply().startswith("421 4.4.2")
            assert client.reply() == ""


def test_session_time() -> None:
    """SESSION_TIME ends a session however busy it is."""
    with (
        Server(options={"timeout_multiplier": 0.1, "session_time": 3}) as server,
        Client(server.address) as client,
    ):
        client.reply()
        replies = []
        while not replies or replies[-1].startswith("250"):
            try:
                replies.append(client.say("NOOP"))
            except ConnectionError:
                break
        assert replies[-1] in ("421 4.4.2 Session time limit reached; disconnecting", "")
        assert len(replies) > 3
        assert (
            server.program.expect(Event, where=lambda frame: frame.event == "cut").text
            == "session time limit"
        )


def test_session_time_within_a_message() -> None:
    """Nor do clients outlast it who send their message drop by drop; the log says why they were left."""
    with (
        Server(options={"timeout_multiplier": 0.1, "session_time": 3}) as server,
        Client(server.address) as client,
    ):
        client.begin()
        client.socket.settimeout(0.05)
        said = b""
        while not said:
            client.socket.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                said = client.socket.recv(100)
        assert said == b"421 4.4.2 Session time limit reached; disconnecting\r\n"
        closed = server.program.expect(Event, where=lambda frame: frame.event == "cut")
        assert closed.text == "session time limit"


def test_a_client_that_never_reads() -> None:
    """Replies that nobody takes do not fill the memory."""
    with Server(options={"timeout_multiplier": 0.05}) as server, Client(server.address) as client:
        client.reply()
        before = memory(server.program.pid)
        client.socket.settimeout(5)
        with pytest.raises(OSError):
            while True:
                client.socket.sendall(b"NOOP\r\n" * 10_000)
        assert memory(server.program.pid) - before < 20_000_000
        with Client(server.address) as other:
            assert other.reply().startswith("220")


def test_a_reply_has_a_time_of_its_own() -> None:
    """STATUS_TRANSMIT_TIME: whoever takes no reply is left, although it may talk on for longer."""
    options = {"timeout_multiplier": 1, "status_transmit_time": 0.2, "command_receive_time": 1000}
    with Server(options=options, logging=True) as server, Client(server.address) as client:
        client.reply()
        with pytest.raises(OSError):
            while True:
                client.socket.sendall(b"NOOP\r\n" * 10_000)
        closed = server.program.expect(Event, where=lambda frame: frame.event == "closed")
    assert closed.text == "it does not read our replies"


def test_banner_purge_delay() -> None:
    """With BANNER_PURGE_DELAY, what a client says before the banner is not heard."""
    with Server(options={"banner_purge_delay": 20}) as server, Client(server.address) as client:
        client.socket.sendall(b"EHLO early.example\r\nQUIT\r\n")
        assert client.reply().startswith("220")
        assert client.say("EHLO c.example").startswith("250")
    with Server(options={"banner_purge_delay": 2000}, logging=True) as server:
        with Client(server.address):
            server.program.expect(Event)
        with Client(server.address) as client:
            server.program.expect(Event, where=lambda event: event.event == "opened")
            assert server.program.stop() == 0
            assert client.reply() == ""


def test_stop() -> None:
    """Told to stop, idle clients get 421, a message under way is finished first, then it exits 0."""
    intake = Intake()
    with Server(intake) as server, Client(server.address) as idle, Client(server.address) as busy:
        idle.reply()
        busy.begin()
        busy.socket.sendall(b"Subject: t\r\n")
        stopped = threading.Thread(target=server.program.stop)
        stopped.start()
        assert idle.reply().startswith("421 4.3.2")
        assert idle.reply() == ""
        assert busy.content(b"\r\nrest\r\n").startswith("250")
        assert busy.reply()[:3] in ("421", "")
        stopped.join()
        assert server.program.status == 0
    assert len(intake.messages) == 1


def test_replaced() -> None:
    """Told that its sessions may go on, it takes no more and serves those it has to their own end."""
    intake = Intake()
    with Server(intake) as server, Client(server.address) as idle, Client(server.address) as busy:
        idle.reply()
        busy.begin()
        busy.socket.sendall(b"Subject: t\r\n")
        server.program.send(Stop(sessions=True))
        assert busy.content(b"\r\nrest\r\n").startswith("250")
        assert busy.say("MAIL FROM:<ann@a.example>", "RCPT TO:<bob@b.example>", "DATA").startswith("354")
        assert busy.content(b"Subject: t\r\n\r\nrest\r\n").startswith("250")
        assert busy.say("QUIT").startswith("221")
        assert idle.say("NOOP").startswith("250"), "it has not been told to go"
        assert idle.say("QUIT").startswith("221")
        assert server.program.wait() == 0
    assert len(intake.messages) == 2


def test_controller_gone() -> None:
    """Without its controller it accepts nothing, says so, and exits."""
    got = threading.Event()

    def handle(program: Program, frame: Any, content: bytes) -> bool:
        if isinstance(frame, Submit):
            got.set()
        return True

    with Server(handle) as server, Client(server.address) as idle, Client(server.address) as busy:
        idle.reply()
        busy.begin()
        busy.socket.sendall(CONTENT + b".\r\n")
        assert got.wait(20)
        server.program.hang_up()
        assert busy.reply().startswith("421 4.3.2")
        assert idle.reply().startswith("421 4.3.2")
        assert server.program.wait() == 75


def test_two_processes_share_a_port() -> None:
    """Two server jobs answer on one port; one can go and the other carries on."""
    intake = Intake()
    with Server(intake) as first:
        second = Program(MODULE, channel(), listen=(first.socket,), service=RELAY, handle=intake)
        for at in range(20):
            with Client(first.address) as client:
                assert client.begin().startswith("354")
                assert client.content(CONTENT).startswith("250"), at
            if at == 9:
                assert second.stop() == 0
        second.close()
    assert len(intake.messages) == 20


def test_logging() -> None:
    """With logging the controller hears of connections and bad commands; without, not of bad commands."""
    for logging in (True, False):
        with Server(logging=logging, service=service(max_conns=1)) as server:
            with Client(server.address) as client:
                client.reply()
                with Client(server.address) as other:
                    assert other.reply().startswith("421")
                client.say("EHLO c.example")
                client.say("BOGUS command")
                client.say("QUIT")
                client.reply()
            seen = [server.program.expect(Event) for _ in range(4 if logging else 3)]
        told = {event.event: event for event in seen}
        expected = ["opened", "rejected", "bad_command", "closed"]
        assert [event.event for event in seen] == [one for one in expected if logging or one != "bad_command"]
        assert told["closed"].modifiers == "E" and told["closed"].application == "SMTP/c.example"
        if logging:
            assert (told["bad_command"].recipient, told["bad_command"].text[:3]) == ("BOGUS command", "500")


def test_a_session_that_a_limit_ends() -> None:
    """The controller hears that it was cut, and why; and of one that timed out that it was closed."""
    options = {"allow_session_blocks": 1, "command_receive_time": 0.2}
    with Server(options=options, logging=True) as server:
        with Client(server.address) as client:
            client.reply()
            client.say("NOOP")
            client.socket.sendall(b"NOOP " + b"x" * 1020 + b"\r\n")
            # Whether the command was answered before the limit was seen does not matter.
            while client.reply():
                pass
        cut = server.program.expect(Event, where=lambda frame: frame.event != "opened")
        with Client(server.address) as client:
            client.reply()
            assert client.reply().startswith("421 4.4.2")
        closed = server.program.expect(Event, where=lambda frame: frame.event == "closed")
    assert (cut.event, cut.text) == ("cut", "Maximum session data limit of 1K octets has been exceeded")
    assert closed.text == "timeout"


def test_client_names() -> None:
    """The client's name by reverse look-up stands in the Received field, unless identnonenumeric."""
    zone = Zone("9.0.0.127.in-addr.arpa. 60 PTR nine.example.")
    with NameServerThread(zone) as names:
        for keywords, shown in (
            ({}, b"(nine.example [127.0.0.9])"),
            ({"identnonenumeric": True}, b"([127.0.0.9])"),
            ({"identnonesymbolic": True}, b"nine.example"),
        ):
            intake = Intake()
            with Server(intake, keywords=keywords, nameservers=(names.address,)) as server:
                for _ in range(50):
                    with Client(server.address, "127.0.0.9") as client:
                        client.begin()
                        client.content(CONTENT)
                    if shown in intake.messages[-1][1]:
                        break
                assert shown in intake.messages[-1][1]
                assert (b"127.0.0.9" in intake.messages[-1][1]) == ("identnonesymbolic" not in keywords)


def test_slave_debug() -> None:
    """slave_debug shows the dialogue on the log stream."""
    with Server(Intake(), slave_debug=True) as server, Client(server.address) as client:
        client.begin()
        client.content(CONTENT)
        client.say("QUIT")
        assert server.program.stop() == 0
        assert b'Received : "EHLO client.example"' in server.program.log
        assert b'Sending : "221' in server.program.log


def test_by_hand(tmp_path: Any) -> None:
    """Started by hand they say who runs them: 78 without a channel, 75 with one."""
    for module in (MODULE, "channels.tcp_smtp_client"):
        for environment, status, words in (
            ({}, 78, "PMDF_CHANNEL"),
            ({"PMDF_CHANNEL": "tcp_local"}, 75, "Job Controller"),
        ):
            env = {name: value for name, value in os.environ.items() if name != "PMDF_CHANNEL"} | environment
            done = subprocess.run(
                [sys.executable, "-m", module],
                env=env,
                capture_output=True,
                text=True,
                timeout=20,
                cwd=tmp_path,
            )
            assert done.returncode == status and words in done.stderr and done.stderr.count("\n") == 1


def test_bad_settings() -> None:
    """Settings that cannot be are a clear line and exit status 78."""
    listener = listening()
    with pytest.raises(AssertionError):
        Program(MODULE, channel(nameservers=("nonsense",)), listen=(listener,), service=RELAY)
    listener.close()
