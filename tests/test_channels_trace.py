"""TRACE_LEVEL: connections, reads and writes in the debug logs, and never a password."""

from pathlib import Path

import pytest

from channels.kit.trace import Trace
from jobctl.jobprotocol.frames import Event, Report, Stop
from tests import kit_support
from tests.ports import free_port
from tests.tcp_support import BODY, Intake, Peer, message, serve
from tests.test_tcp_client import client
from tests.test_tcp_server import Client, Server


def lines(level: int, client: bool, *told: tuple[str, bytes]) -> list[str]:
    found: list[str] = []
    trace = Trace(level, client, found.append)
    for what, data in told:
        if what == "read":
            trace.read(data)
        else:
            trace.wrote(data, 0)
    return found


def test_levels() -> None:
    """1 counts, 2 shows, escaped and not without end."""
    assert lines(1, True, ("read", b"220 mx\r\n")) == ["TRACE read 8 octets"]
    assert lines(2, True, ("read", b"220 \xff\r\n")) == ['TRACE read 7 octets: "220 \\xff\\r\\n"']
    assert lines(2, True, ("wrote", b"x" * 5000))[0].endswith('x" ...')
    assert len(lines(2, True, ("wrote", b"x" * 5000))[0]) < 300
    found: list[str] = []
    Trace(1, True, found.append).wrote(b"abc", 70)
    assert found == ["TRACE wrote 3 octets, 70 wait"]


@pytest.mark.parametrize("side", [True, False])
def test_no_password(side: bool) -> None:
    """From AUTH, however it is cut and whatever is refused, until it succeeds nothing is shown; then all is again."""
    says, hears = ("wrote", "read") if side else ("read", "wrote")
    found = lines(
        2,
        side,
        (says, b"EHLO x\r\nau"),
        (says, b"th LOGIN\r\n"),
        (hears, b"334 VXNlcm5hbWU6\r\n"),
        (says, b"334secret\r\n"),
        (hears, b"535 5.7.8 no\r\n"),
        (says, b"more secrets\r\n"),
        (hears, b"334 UGFzc3dvcmQ6\r\n"),
        (says, b"235secret\r\n"),
        (hears, b"235 2.7.0 ok\r\n"),
        (says, b"MAIL FROM:<a@b>\r\n"),
    )
    assert not any("secret" in line for line in found)
    assert found[7].endswith("(not shown: AUTH)")
    assert '"235 2.7.0 ok' in found[8] and '"MAIL FROM' in found[9]


def test_the_tcp_client() -> None:
    """Whom it connects to and why that failed, what is read and written, and the end."""
    dead = free_port()
    with client(dead, master_debug=True, options={"trace_level": 1}) as program:
        program.send(message("E1"), BODY)
        program.expect(Report)
        assert program.stop() == 0
    log = program.log.decode()
    assert f"TRACE connecting to [127.0.0.1]:{dead}" in log
    assert f"TRACE connection to [127.0.0.1]:{dead}: Connection refused" in log
    with Peer(serve()) as peer, client(peer.port, master_debug=True, options={"trace_level": 2}) as program:
        program.send(message("E1"), BODY)
        program.expect(Report)
        assert program.stop() == 0
    log = program.log.decode()
    assert 'octets: "220 peer ESMTP\\r\\n"' in log and "TRACE wrote " in log
    assert "TRACE connection: " in log


def test_the_tcp_server() -> None:
    """With slave_debug the same of its sessions; without it nothing."""
    with Server(Intake(), slave_debug=True, options={"trace_level": 2}) as server:
        with Client(server.address) as one:
            one.say("NOOP")
        server.program.stop()
        log = server.program.log.decode()
    assert 'TRACE read 6 octets: "NOOP\\r\\n"' in log and "TRACE wrote" in log
    with Server(Intake(), options={"trace_level": 2}) as server:
        with Client(server.address) as one:
            one.say("NOOP")
        server.program.stop()
        assert b"TRACE" not in server.program.log


def test_the_generic_programs(tmp_path: Path) -> None:
    """On their standard input and output."""
    how = kit_support.channel(
        gateway="gw.example.net", master_debug=True, slave_debug=True, options={"trace_level": 2}
    )
    with kit_support.Program("channels.test_smtp_master") as program:
        program.controller.hello(how, "master")
        program.peer.send(b"220 mx\r\n")
        program.peer.line()
        program.peer.send(b"250 mx\r\n")
        program.controller.expect(Event, event="opened")
        program.controller.send(Stop())
        program.peer.line()
        program.peer.close_input()
        assert 'TRACE read 8 octets: "220 mx\\r\\n"' in program.errors
        assert 'TRACE wrote 6 octets: "QUIT\\r\\n"' in program.errors
    with kit_support.Program("channels.test_smtp_slave") as program:
        program.controller.hello(how, "slave")
        program.peer.line()
        program.peer.send(b"QUIT\r\n")
        program.peer.line()
        assert 'TRACE read 6 octets: "QUIT\\r\\n"' in program.errors
