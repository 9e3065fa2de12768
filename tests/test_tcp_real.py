"""The TCP programs against programs that others wrote."""

import shutil
import subprocess
import threading
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from jobctl.jobprotocol.frames import Report
from jobctl.mail.disposition import Verdict
from tests.ports import free_port
from tests.tcp_support import Intake, Program, channel, listening, message, service

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def program(name: str) -> str:
    """Where a program is, or the reason to skip."""
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def server(sockets: Any, handle: Any) -> Program:
    relay = service(relay_from=("127.0.0.0/8",))
    return Program("channels.tcp_smtp_server", channel(), listen=sockets, service=relay, handle=handle)


@pytest.mark.real
@pytest.mark.parametrize("arguments", [["-d"], [], ["-r", "3"]])
def test_smtp_source(arguments: list[str]) -> None:
    """All that smtp-source sends arrives, over kept connections, one each, and with several recipients."""
    source = program("smtp-source")
    intake = Intake()
    with listening() as socket, server((socket,), intake) as first, server((socket,), intake) as second:
        port = socket.getsockname()[1]
        command = [source, "-s", "10", "-m", "300", "-l", "4096", *arguments, f"127.0.0.1:{port}"]
        subprocess.run(command, check=True, timeout=60)
        assert first.stop() == 0 and second.stop() == 0
    assert len(intake.messages) == 300
    assert {len(submit.envelope.recipients) for submit, _ in intake.messages} == {
        3 if "-r" in arguments else 1
    }


@pytest.mark.real
def test_swaks() -> None:
    """A message given by swaks arrives with its headers and a line of dots."""
    swaks = program("swaks")
    intake = Intake()
    with listening() as socket, server((socket,), intake) as one:
        port = socket.getsockname()[1]
        command = [swaks, "--server", f"127.0.0.1:{port}", "--from", "a@a.example", "--to", "b@b.example"]
        done = subprocess.run(
            [*command, "--body", "one\n..\nthree"], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout
        assert one.stop() == 0
    ((submit, data),) = intake.messages
    assert b"\r\none\r\n..\r\nthree\r\n" in data and submit.envelope.recipients[0].address == "b@b.example"


@pytest.mark.real
@pytest.mark.parametrize("arguments", [[], ["-p"], ["-e"]])
def test_smtp_sink(arguments: list[str]) -> None:
    """smtp-sink takes all, with PIPELINING, without it, and without ESMTP."""
    sink = program("smtp-sink")
    port = free_port()
    command = [sink, "-u", "nobody", *arguments, f"127.0.0.1:{port}", "100"]
    taking = subprocess.Popen(command)
    try:
        with Program("channels.tcp_smtp_client", channel(port=port)) as one:
            verdicts = []
            tries = 0
            while len(verdicts) < 200:
                one.send(message(f"E{tries}"), b"Subject: x\r\n\r\n.\r\n")
                tries += 1
                report = one.expect(Report)
                # Until it listens: refused, and tried again.
                if report.scope != "host":
                    verdicts.append(report.verdict)
                assert tries < 100_000
            assert set(verdicts) == {Verdict.DELIVERED} or set(verdicts) == {Verdict.RELAYED}
            assert one.stop() == 0
    finally:
        taking.terminate()
        taking.wait()


class _Mailbox:
    """What aiosmtpd took."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, list[str], bytes]] = []
        self.changed = threading.Event()

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address.startswith("no"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.taken.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 2.0.0 taken"


def test_aiosmtpd() -> None:
    """A strict server of another make takes 8-bit text, leading dots and several recipients unchanged."""
    mailbox = _Mailbox()
    taking = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    taking.start()
    content = "Subject: Grüße\r\n\r\n.\r\n..\r\nlänger ".encode() + b"x" * 900 + b"\r\n"
    try:
        with Program("channels.tcp_smtp_client", channel(port=taking.port)) as one:
            one.send(
                message("E1", content=content, to=("a@b.example", "no@b.example", "c@b.example")), content
            )
            report = one.expect(Report)
            assert one.stop() == 0
    finally:
        taking.stop()
    assert [verdict.verdict for verdict in report.results] == [
        Verdict.DELIVERED,
        Verdict.FAILED,
        Verdict.DELIVERED,
    ]
    assert mailbox.taken == [("ann@a.example", ["a@b.example", "c@b.example"], content)]
