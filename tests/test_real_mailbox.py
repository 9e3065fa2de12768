"""A real mailbox through the generic SMTP programs and the bridge to SMTP servers that others wrote."""

import contextlib
import os
import re
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from jobctl.config.loader import load
from jobctl.control.client import Client
from tests import mailbox
from tests.configurations import GATEWAY
from tests.daemon import Daemon, greets, program, until
from tests.ports import free_port

# Some Pythons come without their tests, and so without the messages in them.
BOXES = {"ours": mailbox.ours()} | ({"cpythons": mailbox.cpythons()} if mailbox.cpythons() else {})
# Our Received field, as whole lines.
TRACE = re.compile(rb"Received: [^\r\n]+\r\n(?: [^\r\n]+\r\n)+")
ROUTES = {"through a gateway": "partner.example", "direct": "[127.0.0.1]"}
BOTH_WAYS = GATEWAY.replace("smtp = true\ndaemon", "smtp = true\nmaster_debug = true\ndaemon", 1).replace(
    "[rewrite]",
    """
[channel.test_smtp_direct]
official_host_name = "direct-daemon"
smtp = true
master_debug = true
port = @GATEWAY@
[rewrite]
"[]" = "test_smtp_direct"
""",
)
INCOMING = GATEWAY.replace('channel = "tcp_local"\nrelay', 'channel = "test_smtp_in"\nrelay').replace(
    "[rewrite]",
    """
[channel.test_smtp_in]
official_host_name = "in-daemon"
smtp = true
slave_debug = true
[rewrite]
""",
)


@pytest.fixture(params=BOXES)
def box(request) -> dict[str, bytes]:
    """Messages as files have them, by name."""
    return BOXES[request.param]


class _Server(SMTP):
    """aiosmtpd as it is, but that lines longer than SMTP allows are no reason to refuse."""

    line_length_limit = 1 << 20


class _Controller(Controller):
    """Runs it."""

    def factory(self) -> SMTP:
        return _Server(self.handler, data_size_limit=0, hostname="aiosmtpd.example")


class Aiosmtpd:
    """aiosmtpd, keeping the octets of what it takes; a context manager."""

    def __init__(self) -> None:
        self.taken: dict[str, list[bytes]] = {}
        self.peers: set[int] = set()
        self.port = free_port()
        self._controller = _Controller(self, hostname="127.0.0.1", port=self.port)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.peers.add(session.peer[1])
        for recipient in envelope.rcpt_tos:
            self.taken.setdefault(recipient.partition("@")[0], []).append(envelope.original_content)
        return "250 2.0.0 taken"

    def messages(self) -> dict[str, list[bytes]]:
        """What was taken, by the local part of its recipient."""
        return {name: list(copies) for name, copies in self.taken.items()}

    def __enter__(self) -> "Aiosmtpd":
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()


class SmtpSink:
    """Postfix's smtp-sink, with a file for every message; a context manager."""

    def __init__(self, directory: Path) -> None:
        found = program("smtp-sink")
        if found is None:
            pytest.skip("smtp-sink is not installed: apt-get install postfix")
        self._directory = directory
        directory.mkdir()
        directory.chmod(0o777)
        self.port = free_port()
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self._command = [found, *user, "-d", "message.", f"127.0.0.1:{self.port}", "100"]

    def messages(self) -> dict[str, list[bytes]]:
        """
        What was taken, by the local part of its recipient, with the CRs that it drops from its files.

        It writes ``X-`` lines about the envelope and a Received field of its own before the
        content, and a line end after it.
        """
        taken: dict[str, list[bytes]] = {}
        for path in self._directory.glob("message.*"):
            raw = path.read_bytes()
            assert raw.endswith(b"\n")
            envelope, found, rest = raw[:-1].partition(b"\nReceived: from ")
            recipient = re.search(rb"(?m)^X-Rcpt-Args: <([^@>]+)@", envelope)
            assert found and recipient, raw[:500]
            lines = rest.split(b"\n")
            after = next(at for at, line in enumerate(lines[1:], 1) if line[:1] not in (b" ", b"\t"))
            content = b"\n".join(lines[after:])
            taken.setdefault(recipient[1].decode(), []).append(content.replace(b"\n", b"\r\n"))
        return taken

    def __enter__(self) -> "SmtpSink":
        self._process = subprocess.Popen(self._command, cwd=self._directory)
        until(lambda: greets(self.port), 30, "smtp-sink greets")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


@contextlib.contextmanager
def server(kind: str, directory: Path) -> Iterator[Aiosmtpd | SmtpSink]:
    """One of the two."""
    with Aiosmtpd() if kind == "aiosmtpd" else SmtpSink(directory / "sink") as one:
        yield one


def queue(daemon: Daemon) -> Client:
    """What ``jobctl enqueue`` uses."""
    return Client(load(str(daemon.config)).controller.control_socket)


def differences(taken: dict[str, list[bytes]], sent: dict[str, bytes]) -> dict[str, object]:
    """What did not arrive once, with one field of ours and then octet for octet as it should; by name."""
    wrong: dict[str, object] = dict.fromkeys(taken.keys() - sent.keys(), "not sent")
    for name, message in sent.items():
        copies = taken.get(name, [])
        if len(copies) != 1:
            wrong[name] = f"{len(copies)} times"
            continue
        trace = TRACE.match(copies[0])
        if trace is None or copies[0][trace.end() :] != mailbox.on_the_wire(message):
            wrong[name] = copies[0]
    return wrong


@pytest.mark.real
@pytest.mark.parametrize("kind", ["aiosmtpd", "smtp-sink"])
def test_a_mailbox_goes_out_octet_for_octet(tmp_path, kind, box):
    """
    Every message of a mailbox arrives once and unchanged through the generic client and the bridge.

    Direct, and through a gateway; and the connection that the bridge made is in the log.
    """
    sent = {f"{name}+{number}": text for number in range(len(ROUTES)) for name, text in box.items()}
    domains = list(ROUTES.values())
    with (
        server(kind, tmp_path) as taking,
        Daemon(tmp_path, BOTH_WAYS, measured=False, GATEWAY=taking.port) as daemon,
    ):
        with queue(daemon) as client:
            for name, message in sent.items():
                domain = domains[int(name.rpartition("+")[2])]
                assert client.enqueue("ann@a.example", [f"{name}@{domain}"], message)
        until(lambda: sum(row["messages"] for row in daemon.summary().values()) == 0, 60, daemon.log[-2000:])
        assert not differences(taking.messages(), sent)
        log = daemon.log
    opened = re.findall(
        rf"(\S+) connection opened TCP\|127\.0\.0\.1\|(\d+)\|127\.0\.0\.1\|{taking.port} ", log
    )
    assert {channel for channel, _ in opened} == {"test_smtp_gateway", "test_smtp_direct"}, log[-2000:]
    if isinstance(taking, Aiosmtpd):
        # What the server says of its clients is what the log says of us.
        assert taking.peers <= {int(port) for _, port in opened}
    # master_debug shows the dialogue, and content only as a number.
    assert 'Sending : "RCPT TO:<plain+0@' in log or 'Sending : "RCPT TO:<msg_01+0@' in log
    assert "octets of content" in log and "MIME-Version" not in log


@pytest.mark.real
def test_a_mailbox_comes_in_octet_for_octet(tmp_path, box):
    """
    Every message that the generic server takes goes on unchanged, below a Received field of the true client.

    Lines of up to 998 octets, as SMTP has them: longer ones are cut on their way in unless the
    channel says otherwise.
    """
    sent = {
        name: text
        for name, text in box.items()
        # smtplib makes a line of no text at all.
        if text and mailbox.longest_line(text) <= mailbox.LONGEST_LINE
    }
    assert len(sent) > 10
    with Aiosmtpd() as taking, Daemon(tmp_path, INCOMING, measured=False, GATEWAY=taking.port) as daemon:
        daemon.await_listening()
        with smtplib.SMTP("127.0.0.1", daemon.port, local_hostname="client.example") as client:
            assert client.sock is not None
            ours = client.sock.getsockname()[1]
            for name, message in sent.items():
                recipient = [f"{name}@partner.example"]
                assert not client.sendmail("ann@a.example", recipient, mailbox.on_the_wire(message))
        until(lambda: sum(row["messages"] for row in daemon.summary().values()) == 0, 60, daemon.log[-2000:])
        assert not differences(taking.messages(), sent)
        until(lambda: f"TCP|127.0.0.1|{daemon.port}|127.0.0.1|{ours} " in daemon.log, 60, "it is shown")
    for name, (content,) in taking.messages().items():
        trace = TRACE.match(content)
        assert trace is not None
        field = b" ".join(trace[0].split())
        # Its name, where this machine has one for the address.
        field = re.sub(rb"\(\S+ \[127\.0\.0\.1\]\)", b"([127.0.0.1])", field, count=1)
        assert field.startswith(b"Received: from client.example ([127.0.0.1]) by mail.example.org ("), field
        assert b") with ESMTP id " in field and b" for <%b@partner.example>; " % name.encode() in field
