"""tcp_smtp_client with TLS, AUTH and BDAT: each policy with each certificate, and servers that cheat."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobctl.jobprotocol.frames import Report
from jobctl.mail.disposition import Verdict
from jobctl.sasl.secrets import scram_keys, scram_line
from tests.certificates import Authority
from tests.tcp_support import BODY, Intake, Peer, Wire, broken_tls, channel, message, service
from tests.test_tcp_client import client, deliver
from tests.test_tcp_server import Server

Script = Callable[[Wire, int], None]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"), "Other CA")


def context(certificate: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


def tls_server(certificate: Path, taken: list[bytes], secure: list[bool], resumed: list[bool]) -> Script:
    """Offers STARTTLS and takes mail with it and without."""
    made = context(certificate)

    def script(wire: Wire, number: int) -> None:
        wire.greet("PIPELINING", "STARTTLS")
        line = wire.line()
        if line != b"STARTTLS":
            secure.append(False)
            wire.say("250 sender")
            if (content := wire.transaction()) is not None:
                taken.append(content)
            return
        wire.say("220 go")
        with made.wrap_socket(wire.socket, server_side=True) as encrypted:
            secure.append(True)
            resumed.append(bool(encrypted.session_reused))
            inner = Wire(encrypted)
            inner.line()
            inner.say("250-peer", "250 PIPELINING")
            while (content := inner.transaction()) is not None:
                taken.append(content)

    return script


CERTIFICATES: dict[str, Callable[[Authority, Authority], Path]] = {
    "valid": lambda ours, other: ours.issue("mx.gateway.example", "127.0.0.1"),
    "wildcard": lambda ours, other: ours.issue("*.gateway.example"),
    "wrong name": lambda ours, other: ours.issue("other.example"),
    "expired": lambda ours, other: ours.issue("mx.gateway.example", begins=-9, ends=-2),
    "not yet valid": lambda ours, other: ours.issue("mx.gateway.example", begins=2, ends=9),
    "self-signed": lambda ours, other: ours.issue("mx.gateway.example", self_signed=True),
    "unknown issuer": lambda ours, other: other.issue("mx.gateway.example"),
}
WHY = {
    "wrong name": "is not for mx.gateway.example",
    "expired": "has expired",
    "not yet valid": "is not valid yet",
    "self-signed": "is self-signed",
    "unknown issuer": "unknown",
}


@pytest.mark.parametrize("kind", CERTIFICATES)
@pytest.mark.parametrize("policy", ["none", "may", "must", "verify"])
def test_each_policy_with_each_certificate(
    policy: str, kind: str, authority: Authority, stranger: Authority
) -> None:
    """
    None sends in the clear; may and must encrypt to anybody; verify sends only to whom it should, and
    otherwise the mail waits, with the reason for the operator to read.
    """
    taken: list[bytes] = []
    secure: list[bool] = []
    certificate = CERTIFICATES[kind](authority, stranger)
    with Peer(tls_server(certificate, taken, secure, [])) as peer:
        (report,) = deliver(
            peer.port,
            tls_policy=policy,
            tls_ca_file=str(authority.file),
            tls_server_name="mx.gateway.example",
        )
    if policy == "verify" and kind in WHY:
        assert report.verdict is Verdict.DEFERRED
        assert report.scope == "host"
        assert report.status == "4.7.5"
        assert WHY[kind] in report.reply
        assert taken == []
    else:
        assert report.verdict is Verdict.DELIVERED
        assert taken == [BODY]
        assert secure == [policy != "none"]


def test_an_address_is_verified_as_one(authority: Authority) -> None:
    """A gateway given by address must have a certificate for that address."""
    taken: list[bytes] = []
    with Peer(tls_server(CERTIFICATES["valid"](authority, authority), taken, [], [])) as peer:
        (report,) = deliver(peer.port, tls_policy="verify", tls_ca_file=str(authority.file))
    assert report.verdict is Verdict.DELIVERED
    with Peer(tls_server(CERTIFICATES["wildcard"](authority, authority), taken, [], [])) as peer:
        (report,) = deliver(peer.port, tls_policy="verify", tls_ca_file=str(authority.file))
    assert report.verdict is Verdict.DEFERRED


@pytest.mark.parametrize(("policy", "verdict"), [("may", Verdict.DELIVERED), ("must", Verdict.DEFERRED)])
def test_a_handshake_that_fails(policy: str, verdict: Verdict) -> None:
    """Under may the mail goes in the clear, once, and the log says so; under must it waits."""
    taken: list[bytes] = []
    with Peer(broken_tls(taken)) as peer, client(peer.port, tls_policy=policy) as program:
        program.send(message("E0"), BODY)
        report = program.expect(Report)
        program.stop()
        assert report.verdict is verdict
        assert peer.count == (2 if policy == "may" else 1)
    assert (b"sending in the clear" in program.log) == (policy == "may")
    assert len(taken) == (1 if policy == "may" else 0)


def test_must_and_no_offer() -> None:
    """A server that offers no STARTTLS gets no mail where TLS is a must; somebody may have taken the offer out."""
    with Peer(lambda wire, number: (wire.greet("PIPELINING"), wire.until_closed())[0]) as peer:
        (report,) = deliver(peer.port, tls_policy="must")
    assert (report.verdict, report.status, report.scope) == (Verdict.DEFERRED, "4.7.4", "host")
    assert "offers no STARTTLS" in report.reply


def test_replies_put_in_before_the_handshake_end_the_connection(authority: Authority) -> None:
    """What comes with the reply to STARTTLS was said by whoever is in between; nothing of it counts."""

    def script(wire: Wire, number: int) -> None:
        wire.greet("STARTTLS")
        wire.line()
        wire.say("220 go", "250-evil", "250 AUTH PLAIN")
        wire.until_closed()

    with Peer(script) as peer:
        (report,) = deliver(peer.port, tls_policy="must")
    assert report.verdict is Verdict.DEFERRED
    assert "more than one reply to STARTTLS" in report.reply


def test_a_session_is_resumed(authority: Authority) -> None:
    """A second connection to the same peer needs no second full handshake."""
    taken: list[bytes] = []
    resumed: list[bool] = []
    certificate = CERTIFICATES["valid"](authority, authority)
    how: dict[str, Any] = {"options": {"attempt_transactions_per_session": 1}}
    with Peer(tls_server(certificate, taken, [], resumed)) as peer:
        reports = deliver(peer.port, 3, tls_policy="verify", tls_ca_file=str(authority.file), **how)
    assert {report.verdict for report in reports} == {Verdict.DELIVERED}
    assert resumed == [False, True, True]


@pytest.mark.parametrize("mechanism", ["auto", "scram-sha-256-plus", "scram-sha-256", "plain", "login"])
@pytest.mark.parametrize("implicit", [False, True])
def test_our_client_and_our_server(
    mechanism: str, implicit: bool, authority: Authority, tmp_path: Path
) -> None:
    """A gateway of our own kind: certificate verified, user believed, message octet for octet."""
    (tmp_path / "users").write_text(f"ann:{scram_line(scram_keys('sésame', iterations=4096))}\n")
    (tmp_path / "secret").write_text("sésame\n")
    taken = Intake()
    how = service(
        tls_certificate=str(CERTIFICATES["valid"](authority, authority)),
        password_file=str(tmp_path / "users"),
        implicit_tls=implicit,
    )
    keywords = {"musttlsserver": True, "mustsaslserver": True}
    with (
        Server(taken, how, keywords=keywords) as server,
        client(
            server.address[1],
            tls_policy="verify",
            implicit_tls=implicit,
            tls_ca_file=str(authority.file),
            auth_username="ann",
            auth_password_file=str(tmp_path / "secret"),
            auth_mechanism=mechanism,
        ) as program,
    ):
        for at in range(5):
            program.send(message(f"E{at}"), BODY)
        reports = [program.expect(Report) for _ in range(5)]
        program.stop()
    assert {report.verdict for report in reports} == {Verdict.RELAYED}
    assert len(taken.messages) == 5
    assert all(content.endswith(BODY) and b"ESMTPSA" in content for _, content in taken.messages)
    assert "sésame".encode() not in program.log


def test_a_wrong_password_returns_nobodys_mail(authority: Authority, tmp_path: Path) -> None:
    """535 at the gateway is the operator's mistake: mail waits until it is mended."""
    (tmp_path / "users").write_text(f"ann:{scram_line(scram_keys('right', iterations=4096))}\n")
    (tmp_path / "secret").write_text("wrong\n")
    how = service(
        tls_certificate=str(CERTIFICATES["valid"](authority, authority)),
        password_file=str(tmp_path / "users"),
    )
    keywords = {"musttlsserver": True, "mustsaslserver": True}
    with Server(Intake(), how, keywords=keywords) as server:
        (report,) = deliver(
            server.address[1],
            tls_policy="must",
            auth_username="ann",
            auth_password_file=str(tmp_path / "secret"),
        )
    assert (report.verdict, report.scope, report.status) == (Verdict.DEFERRED, "host", "4.7.8")
    assert "535 5.7.8" in report.reply


def test_no_password_in_the_clear(tmp_path: Path) -> None:
    """Without TLS a password is shown only where the configuration names a mechanism that shows it."""
    (tmp_path / "secret").write_text("sesame\n")
    heard: list[bytes] = []

    def script(wire: Wire, number: int) -> None:
        wire.heard = heard
        wire.greet("AUTH PLAIN LOGIN")
        wire.line()
        wire.say("235 ok")
        wire.line()
        wire.say("250 ok")
        wire.transaction()

    how = {"auth_username": "ann", "auth_password_file": str(tmp_path / "secret")}
    with Peer(script) as peer:
        (report,) = deliver(peer.port, **how)
        assert report.verdict is Verdict.DEFERRED
        assert "no AUTH mechanism that can be used here" in report.reply
        assert heard[1:] == [b"QUIT"]
        (report,) = deliver(peer.port, auth_mechanism="plain", **how)
    assert report.verdict is Verdict.DELIVERED
    assert b"AUTH PLAIN AGFubgBzZXNhbWU=" in heard


def test_one_write_for_one_message() -> None:
    """With CHUNKING and PIPELINING all of a message goes out before anything of it is answered."""
    contents: list[bytes] = []

    def script(wire: Wire, number: int) -> None:
        wire.greet("PIPELINING", "CHUNKING")
        for at in range(2):
            assert wire.line().startswith(b"MAIL")
            assert wire.line().startswith(b"RCPT")
            verb, size, last = wire.line().split()
            assert (verb, last) == (b"BDAT", b"LAST")
            contents.append(wire.read(int(size)))
            if not at:
                # The next message, while nothing of the first is answered.
                assert wire.line() == b"RSET"
            wire.say("250 sender", "250 recipient", "250 2.0.0 taken")
            if not at:
                wire.say("250 reset")

    content = b"Subject: t\r\n\r\n.\r\n..two\r\nno end"
    with Peer(script) as peer, client(peer.port) as program:
        for at in range(2):
            program.send(message(f"E{at}", content=content), content)
        reports = [program.expect(Report) for _ in range(2)]
        assert {report.verdict for report in reports} == {Verdict.DELIVERED}
    assert contents == [content + b"\r\n"] * 2


@pytest.mark.parametrize(
    ("replies", "verdicts"),
    [
        (("250", "250", "450 4.2.1", "250"), (Verdict.DELIVERED, Verdict.DEFERRED)),
        (("250", "250", "550 5.1.1", "550 5.6.0 content"), (Verdict.FAILED, Verdict.FAILED)),
        (("250", "550 5.1.1", "450 4.2.1", "503 5.5.1"), (Verdict.FAILED, Verdict.DEFERRED)),
        (("450 4.3.0", "503", "503", "503"), (Verdict.DEFERRED, Verdict.DEFERRED)),
        (("250", "250", "250", "421 4.3.2"), (Verdict.DEFERRED, Verdict.DEFERRED)),
    ],
)
def test_verdicts_with_chunks(replies: tuple[str, ...], verdicts: tuple[Verdict, Verdict]) -> None:
    """Recipients get the verdicts that DATA would have given them; the next message is not touched."""

    def script(wire: Wire, number: int) -> None:
        wire.greet("PIPELINING", "CHUNKING")
        for at in range(2):
            lines = []
            while not (line := wire.line()).startswith(b"BDAT"):
                lines.append(line)
            wire.read(int(line.split()[1]))
            if at or number:
                wire.say(*("250 ok" for _ in (*lines, line)))
                wire.until_closed()
                return
            wire.say(*replies)
            if replies[-1].startswith("421"):
                return
            if not replies[-1].startswith("2"):
                assert wire.line() == b"RSET"
                wire.say("250 reset")

    with Peer(script) as peer, client(peer.port) as program:
        program.send(message("E0", to=("a@b.example", "b@b.example")), BODY)
        report = program.expect(Report)
        program.send(message("E1"), BODY)
        assert program.expect(Report).verdict is Verdict.DELIVERED
    got = tuple(one.verdict for one in report.results) if report.results else (report.verdict, report.verdict)
    assert got == verdicts


def test_a_wrong_secret_file_is_told(tmp_path: Path) -> None:
    """A password file that cannot be read ends the program with a line that names it, not the mail."""
    with pytest.raises(AssertionError, match="auth_password_file"):
        client(1, auth_username="ann", auth_password_file=str(tmp_path / "nothing"))
    assert channel(tls_policy="verify").tls_client == "verify"
