"""Access tables in front of the real server."""

from typing import Any

from jobctl.jobprotocol.frames import Event, Route, VerdictFrame
from tests.tcp_support import Intake, Program, service
from tests.test_tcp_server import CONTENT, Client, Server

RELAY = service(relay_from=("127.0.0.0/8",))


def with_tables(handle: Any = None, **tables: str) -> Server:
    asks_all = "SEND_ACCESS" in tables
    return Server(handle, RELAY, mta={"mappings": tables, "asks_all": asks_all}, logging=True)


def test_port_access_closes_the_connection() -> None:
    """Whoever may not connect hears why, and the log has it; others are served."""
    with with_tables(PORT_ACCESS="TCP|*|*|127.0.0.2|*  $N554$ 5.7.1$ not$ you") as server:
        with Client(server.address, "127.0.0.2") as client:
            assert client.reply() == "554 5.7.1 not you"
            assert client.reply() == ""
        event = server.program.expect(Event, where=lambda frame: frame.event == "rejected")
        assert event.text == "PORT_ACCESS: 554 5.7.1 not you"
        with Client(server.address) as client:
            assert client.reply().startswith("220")


def test_what_port_access_has_the_log_say() -> None:
    """With $T a refusal is told as one that has a record of its own; the site's text goes with the connection's end."""
    table = "TCP|*|*|127.0.0.2|*  $N$T554$ 5.7.1$ no||list$ 7\nTCP|*  $Y||a$ partner"
    with with_tables(PORT_ACCESS=table) as server:
        with Client(server.address, "127.0.0.2") as client:
            assert client.reply() == "554 5.7.1 no"
        denied = server.program.expect(Event, where=lambda frame: frame.event == "denied")
        assert denied.text == "PORT_ACCESS: 554 5.7.1 no"
        closed = server.program.expect(Event, where=lambda frame: frame.event == "closed")
        assert closed.site == "list 7"
        with Client(server.address) as client:
            client.reply()
        closed = server.program.expect(Event, where=lambda frame: frame.event == "closed")
        assert closed.site == "a partner"


def test_from_access_refuses_a_sender() -> None:
    """A sender is refused at MAIL FROM by address, channel and greeting; the next is looked at anew."""
    with (
        with_tables(
            FROM_ACCESS="TCP|*|SMTP/bad.example|MAIL|tcp_local|*@spam.example|  $N550$ 5.7.1$ no"
        ) as server,
        Client(server.address) as client,
    ):
        client.reply()
        client.say("EHLO bad.example")
        assert client.say("MAIL FROM:<x@spam.example>") == "550 5.7.1 no"
        assert client.say("MAIL FROM:<x@ham.example>").startswith("250")


def test_trusted_clients_are_asked_about_recipients_where_a_table_may_forbid_one() -> None:
    """Relay rights do not pass by a table on recipients."""
    taken = Intake()

    def handle(program: Program, frame: Any, content: bytes) -> bool:
        if isinstance(frame, Route):
            good = frame.recipient != "boss@d.example"
            program.send(VerdictFrame(id=frame.id, code=250 if good else 550, status="5.7.1", text="no"))
            return True
        return taken(program, frame, content)

    with with_tables(handle, SEND_ACCESS="*|*|*|boss@*  $N") as server, Client(server.address) as client:
        client.reply()
        client.say("EHLO c", "MAIL FROM:<a@b.example>")
        assert client.say("RCPT TO:<boss@d.example>") == "550 5.7.1 no"
        client.say("RCPT TO:<c@d.example>", "DATA")
        client.socket.sendall(CONTENT + b".\r\n")
        assert client.reply().startswith("250")
    assert [one.address for one in taken.messages[0][0].envelope.recipients] == ["c@d.example"]


def test_the_original_recipient_is_asked_about_too() -> None:
    """The question has the ORCPT parameter; a yes to one original recipient is none to another."""
    with with_tables(SEND_ACCESS="*  $Y") as server, Client(server.address) as client:
        client.reply()
        client.say("EHLO c.example")
        client.say("MAIL FROM:<x@ham.example>")
        for orcpt in ("rfc822;one@y.example", "rfc822;two@y.example"):
            client.socket.sendall(f"RCPT TO:<a@b.example> ORCPT={orcpt}\r\n".encode())
            asked = server.program.expect(Route)
            assert asked.orcpt == orcpt
            server.program.send(VerdictFrame(id=asked.id, code=250, status="2.1.5", text="ok"))
            assert client.reply() == "250 2.1.5 ok"


def test_private_commands_of_a_client() -> None:
    """``$V`` of PORT_ACCESS enables them for some; XCLIENT makes the client another."""
    asked: list[Route] = []

    def handle(program: Program, frame: Any, content: bytes) -> bool:
        if isinstance(frame, Route):
            asked.append(frame)
            program.send(VerdictFrame(id=frame.id, code=250, status="2.3.0", text="so it is"))
        return isinstance(frame, Route)

    mta: dict[str, object] = {"mappings": {"PORT_ACCESS": "TCP|*|*|127.0.0.1|*  $V$Y"}}
    with (
        Server(handle, service(xclient_from=("127.0.0.1",)), mta=mta) as server,
        Client(server.address) as client,
    ):
        client.reply()
        client.say("EHLO c.example")
        assert client.say("XGEN") == "250 2.3.0 so it is"
        client.say("XCLIENT ADDR=192.0.2.9")
        assert client.say("XGEN") == "550 5.7.0 XGEN command has been disabled."
    assert [frame.command for frame in asked] == ["XGEN"]
