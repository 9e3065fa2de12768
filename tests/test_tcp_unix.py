"""Services on UNIX sockets: clients have no address, and are served for all that."""

import socket
from pathlib import Path

import pytest
from twisted.internet.address import UNIXAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from jobctl.jobprotocol.frames import Event, Route, VerdictFrame
from jobctl.jobs.socket_bridge import SocketBridge
from jobctl.net.networks import Networks
from tests.tcp_support import Intake, Program, channel, service
from tests.test_tcp_server import CONTENT, MODULE

# Of all that asks about addresses: none of it may be asked about nothing.
MTA = {"mappings": {"PORT_ACCESS": "*  $N554$ 5.7.1$ nobody"}}
HOW = service(relay_from=("0.0.0.0/0",), xclient_from=("::/0",), max_conns_per_address=1)
SETTINGS = channel(lmtp=True, logging=True, switchchannel="switchchannel", keywords={"identnone": True})


class Controller(Intake):
    """Takes mail, and says yes to the second recipient that it is asked about."""

    def __call__(self, program: Program, frame: object, content: bytes) -> bool:
        if isinstance(frame, Route):
            known = frame.recipient == "bob@mail.example.org"
            program.send(VerdictFrame(id=frame.id, code=250 if known else 550, status="2.1.5", text="said"))
            return True
        return super().__call__(program, frame, content)


@pytest.mark.parametrize("named", [False, True])
def test_an_lmtp_server_on_a_unix_socket(tmp_path: Path, named: bool) -> None:
    """Mail comes in; who may relay by its address is asked about, as anybody is; nobody's name is looked up."""
    taken = Controller()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "lmtp"))
        listening.listen()
        with Program(MODULE, SETTINGS, listen=(listening,), service=HOW, handle=taken, mta=MTA) as program:
            for _ in range(2):
                with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as replies:
                    client.settimeout(20)
                    if named:
                        client.bind(str(tmp_path / f"client{_}"))
                    client.connect(str(tmp_path / "lmtp"))
                    client.sendall(
                        b"LHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@far.example>\r\n"
                        b"RCPT TO:<bob@mail.example.org>\r\nDATA\r\n" + CONTENT + b".\r\nQUIT\r\n"
                    )
                    said = [line[:3] for line in replies if line[3:4] == b" "]
                assert said == [b"220", b"250", b"250", b"550", b"250", b"354", b"250", b"221"]
            opened = program.expect(Event, where=lambda frame: frame.event == "opened")
            assert opened.transport == ""
    submit, content = taken.messages[0]
    assert submit.source is not None
    assert (submit.source.transport, submit.source.modifiers) == ("", "L")
    assert content.startswith(b"Received: from c\r\n by mail.example.org")


def test_a_slave_for_a_client_of_a_unix_socket() -> None:
    """A generic slave is told of no connection, because it has no addresses."""
    bridge = SocketBridge(Clock(), 1.0)
    bridge.transport = StringTransport(hostAddress=UNIXAddress("/run/smtp"), peerAddress=UNIXAddress(""))
    assert bridge.transport_info.text == ""
    assert bridge.transport_info.remote_ip == ""


def test_no_address_is_in_no_network() -> None:
    """Not even in that of all addresses."""
    assert "" not in Networks(("0.0.0.0/0", "::/0"))
