"""The source channel of clients of the real server: who is switched, when, and what holds from then on."""

import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobctl.jobprotocol.frames import Event, Locate, Located, Route, Submit, VerdictFrame
from jobctl.sasl.secrets import scram_keys, scram_line
from tests.certificates import Authority
from tests.dns_server import Zone
from tests.tcp_support import Intake, NameServerThread, Program, channel, service
from tests.test_tcp_server import CONTENT, Client, Server

INTRANET = channel(name="tcp_intranet", local_host="inside.example.org", recipientlimit=1)
OPEN = service(relay_from=("127.0.0.0/8",))


class Choosing:
    """A controller that knows by which channel clients come in, and counts how often it is asked."""

    def __init__(self, **chosen: str) -> None:
        self.intake = Intake()
        self.chosen = chosen
        self.asked: list[str] = []
        self.routes: list[Route] = []

    def __call__(self, program: Program, frame: Any, content: bytes) -> bool:
        if isinstance(frame, Locate):
            self.asked.append(frame.host)
            program.send(Located(id=frame.id, channel=self.chosen.get(frame.host, "tcp_local")))
            return True
        if isinstance(frame, Route):
            self.routes.append(frame)
            program.send(VerdictFrame(id=frame.id, code=250, status="2.1.5", text="OK"))
            return True
        return self.intake(program, frame, content)

    @property
    def source(self) -> str:
        """Source channel of the last message."""
        submit: Submit = self.intake.messages[-1][0]
        assert submit.source is not None
        return submit.source.channel


def switching(handle: Choosing, **changes: Any) -> Server:
    base = {"switchchannel": "switchchannel", "keywords": {"identnonelimited": True}, "others": (INTRANET,)}
    return Server(handle, **({"service": OPEN} | base | changes))


def test_the_address_chooses() -> None:
    """Whom the rules count to another channel gets its name, its limits, and its place in log and queue."""
    handle = Choosing(**{"[127.0.0.2]": "tcp_intranet"})
    with switching(handle) as server:
        with Client(server.address, "127.0.0.2") as client:
            assert client.reply().startswith("220 inside.example.org")
            client.say("EHLO c", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
            assert client.say("RCPT TO:<e@d.example>").startswith("452 4.2.3")
            client.say("DATA")
            assert client.content(CONTENT).startswith("250")
        assert handle.source == "tcp_intranet"
        assert b"by inside.example.org" in handle.intake.messages[0][1]
        opened = server.program.expect(Event, where=lambda frame: frame.event == "opened")
        assert opened.channel == "tcp_intranet"
        with Client(server.address) as client:
            assert client.begin().startswith("354")
            assert client.content(CONTENT).startswith("250")
        assert handle.source == "tcp_local"


def test_a_client_is_asked_about_once() -> None:
    """The next connections of a client cost nothing more."""
    handle = Choosing(**{"[127.0.0.2]": "tcp_intranet"})
    with switching(handle) as server:
        for _ in range(3):
            with Client(server.address, "127.0.0.2") as client:
                assert client.reply().startswith("220 inside")
    assert handle.asked == ["[127.0.0.2]"]


@pytest.mark.parametrize(
    "changes",
    [
        {"switchchannel": "allowswitchchannel"},
        {"switchchannel": "noswitchchannel"},
        {"options": {"check_source": 0}},
    ],
)
def test_without_switchchannel_nothing_is_asked(changes: dict[str, Any]) -> None:
    """Only a channel with switchchannel, and CHECK_SOURCE, has its clients looked at."""
    handle = Choosing(**{"[127.0.0.2]": "tcp_intranet"})
    with switching(handle, **changes) as server, Client(server.address, "127.0.0.2") as client:
        assert client.reply().startswith("220 mail.example.org")
    assert handle.asked == []


@pytest.mark.parametrize(
    ("keyword", "asked"),
    [
        ("identnone", ["[127.0.0.9]", "nine.example"]),
        ("identnonesymbolic", ["[127.0.0.9]", "nine.example"]),
        ("identnonelimited", ["[127.0.0.9]"]),
        ("identnonenumeric", ["[127.0.0.9]"]),
    ],
)
def test_the_name_chooses_where_the_address_does_not(keyword: str, asked: list[str]) -> None:
    """A reverse name counts, unless identnonelimited or identnonenumeric forbids it."""
    handle = Choosing(**{"nine.example": "tcp_intranet"})
    with NameServerThread(Zone("9.0.0.127.in-addr.arpa. 60 PTR nine.example.")) as names:
        how = {"keywords": {keyword: True}, "nameservers": (names.address,)}
        with switching(handle, **how) as server, Client(server.address, "127.0.0.9") as client:
            by = "inside" if len(asked) == 2 else "mail"
            assert client.reply().startswith(f"220 {by}.example.org")
    assert handle.asked == asked


def test_check_source() -> None:
    """CHECK_SOURCE=0 leaves the client's name out of the Received field, however long it has been known."""
    with NameServerThread(Zone("9.0.0.127.in-addr.arpa. 60 PTR nine.example.")) as names:
        for check, shown in ((1, True), (0, False)):
            handle = Choosing()
            how = {"options": {"check_source": check}, "nameservers": (names.address,)}
            with Server(handle, OPEN, **how) as server:
                for _ in range(20):
                    with Client(server.address, "127.0.0.9") as client:
                        client.begin()
                        client.content(CONTENT)
                    if b"(nine.example [127.0.0.9])" in handle.intake.messages[-1][1]:
                        break
            assert (b"(nine.example [127.0.0.9])" in handle.intake.messages[-1][1]) is shown


def test_a_client_without_a_name_is_served() -> None:
    """No PTR record keeps nobody waiting."""
    with NameServerThread(Zone("")) as names:
        how = {"keywords": {}, "nameservers": (names.address,)}
        with switching(Choosing(), **how) as server, Client(server.address) as client:
            assert client.reply().startswith("220 mail")


def test_a_controller_that_goes_leaves_nobody_hanging() -> None:
    """A client about whom no answer will come is let go, not kept."""

    class Silent(Choosing):
        def __call__(self, program: Program, frame: Any, content: bytes) -> bool:
            if isinstance(frame, Locate):
                program.hang_up()
                return True
            return False

    with switching(Silent()) as server, Client(server.address) as client:
        assert client.reply() == ""
        assert server.program.wait() == 75


def test_front_ends_and_those_who_speak_for_others() -> None:
    """The channel is that of the client, not of the proxy before it: PROXY and XCLIENT."""
    handle = Choosing(**{"[192.0.2.7]": "tcp_intranet"})
    how = service(proxy_from=("127.0.0.3",), xclient_from=("127.0.0.1",))
    with switching(handle, service=how) as server:
        with Client(server.address, "127.0.0.3") as client:
            client.socket.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 4001 25\r\n")
            assert client.reply().startswith("220 inside")
        with Client(server.address) as client:
            assert client.reply().startswith("220 mail")
            client.say("EHLO front.example")
            # What is sent behind it waits for the answer, and then counts.
            client.socket.sendall(b"XCLIENT ADDR=192.0.2.8\r\nEHLO x\r\n")
            assert client.reply().startswith("220 mail")
            assert client.reply().startswith("250-mail")
        with Client(server.address) as client:
            client.reply()
            client.say("EHLO front.example")
            assert client.say("XCLIENT ADDR=192.0.2.7 PORT=4002").startswith("220 inside")
    assert handle.asked == ["[192.0.2.7]", "[127.0.0.1]", "[192.0.2.8]"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def how(authority: Authority, tmp_path: Path) -> Any:
    (tmp_path / "users").write_text(f"ann:{scram_line(scram_keys('sesame', iterations=4096))}\n")
    certificate = authority.issue("mail.example.org", "127.0.0.1")
    return service(tls_certificate=str(certificate), password_file=str(tmp_path / "users"))


AUTH = channel(name="tcp_auth", keywords={"mustsaslserver": True, "maytlsserver": True}, slave_debug=True)
TLS = channel(
    name="tcp_tls", keywords={"maytlsserver": True, "maysaslserver": True}, saslswitchchannel="tcp_auth"
)
START = {"keywords": {"maytlsserver": True}, "tlsswitchchannel": "tcp_tls", "others": (TLS, AUTH)}


@pytest.fixture
def proving(how: Any) -> Iterator[tuple[Server, Choosing]]:
    handle = Choosing()
    with Server(handle, how, logging=True, **START) as server:
        yield server, handle


def send(client: smtplib.SMTP) -> None:
    client.sendmail("ann@a.example", ["bob@b.example"], b"Subject: t\r\n\r\n")


def test_tls_and_auth_choose(proving: tuple[Server, Choosing], authority: Authority) -> None:
    """Each proof leads on: AUTH is offered only after TLS, and log and queue see the channel of then."""
    server, handle = proving
    context = ssl.create_default_context(cafile=str(authority.file))
    with smtplib.SMTP(*server.address, timeout=20) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        send(client)
        assert handle.source == "tcp_local"
        client.starttls(context=context)
        client.ehlo()
        assert client.has_extn("auth")
        send(client)
        assert handle.source == "tcp_tls"
        # A yes of before is not believed for the other channel.
        assert [one.source.channel for one in handle.routes if one.source] == ["tcp_local", "tcp_tls"]
        client.login("ann", "sesame")
        send(client)
        assert handle.source == "tcp_auth"
    events = {}
    for name in ("opened", "auth", "closed"):
        events[name] = server.program.expect(
            Event, where=lambda frame, name=name: frame.event == name
        ).channel
    assert events == {"opened": "tcp_local", "auth": "tcp_tls", "closed": "tcp_auth"}
    server.program.stop()
    assert b"source channel tcp_auth" in server.program.log


def test_starttls_forgets_where_auth_has_led(how: Any, authority: Authority) -> None:
    """What was proved in the clear is proved no more: the channel is the first again (RFC 3207 section 4.2)."""
    handle = Choosing()
    how = msgspec.structs.replace(how, plaintext_auth=True)
    offers = {"keywords": {"maytlsserver": True, "maysaslserver": True}, "saslswitchchannel": "tcp_auth"}
    open_to_all = channel(name="tcp_auth", keywords={"maytlsserver": True, "maysaslserver": True})
    with (
        Server(handle, how, others=(open_to_all,), **offers) as server,
        smtplib.SMTP(*server.address, timeout=20) as client,
    ):
        client.login("ann", "sesame")
        send(client)
        assert handle.source == "tcp_auth"
        client.starttls(context=ssl.create_default_context(cafile=str(authority.file)))
        send(client)
        assert handle.source == "tcp_local"


def test_what_was_counted_still_counts(how: Any, authority: Authority) -> None:
    """A switch gives other limits, not another beginning."""
    strict = channel(name="tcp_tls", keywords={"maytlsserver": True}, transactionlimit=2)
    with (
        Server(
            Choosing(), how, keywords={"maytlsserver": True}, tlsswitchchannel="tcp_tls", others=(strict,)
        ) as one,
        smtplib.SMTP(*one.address, timeout=20) as client,
    ):
        send(client)
        client.starttls(context=ssl.create_default_context(cafile=str(authority.file)))
        send(client)
        with pytest.raises(smtplib.SMTPSenderRefused, match="transactions"):
            send(client)


def test_implicit_tls_waits_for_the_channel(how: Any, authority: Authority) -> None:
    """A client that begins with its handshake at once loses nothing of it, and TLS leads on."""
    handle = Choosing(**{"[127.0.0.1]": "tcp_intranet"})
    inside = channel(name="tcp_intranet", tlsswitchchannel="tcp_tls")
    at_once = msgspec.structs.replace(how, implicit_tls=True)
    context = ssl.create_default_context(cafile=str(authority.file))
    with (
        switching(handle, service=at_once, others=(inside, TLS)) as server,
        smtplib.SMTP_SSL(*server.address, timeout=20, context=context) as client,
    ):
        send(client)
    assert handle.source == "tcp_tls"


HELD: list[Callable[[], None]] = []


def test_nobody_speaks_before_the_channel_is_known() -> None:
    """What a client sends ahead is heard after the banner, and mail is not mixed up with the channel before."""

    class Slow(Choosing):
        def __call__(self, program: Program, frame: Any, content: bytes) -> bool:
            if isinstance(frame, Locate):
                HELD.append(lambda: program.send(Located(id=frame.id, channel="tcp_intranet")))
                return False
            return super().__call__(program, frame, content)

    with switching(Slow()) as server, Client(server.address) as client:
        client.socket.sendall(b"EHLO early\r\n")
        server.program.expect(Locate)
        client.socket.settimeout(20)
        assert not _readable(client.socket)
        HELD.pop()()
        assert client.reply().startswith("220 inside")
        assert client.reply().startswith("250-inside")


def _readable(one: socket.socket) -> bool:
    import select

    return bool(select.select([one], [], [], 0)[0])
