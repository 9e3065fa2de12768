"""tcp_smtp_server with TLS and AUTH, to clients of the standard library."""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from jobctl.jobprotocol.frames import Event, Route, VerdictFrame
from jobctl.net.tls_session import TlsSession
from jobctl.sasl.secrets import scram_keys, scram_line, scrypt_line
from tests.certificates import Authority
from tests.tcp_support import Intake, Program, service
from tests.test_tcp_server import Client, Server

MAIL = "Subject: t\r\n\r\n..dot\r\n\u00e4\r\n".encode()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Path:
    return authority.issue("mail.example.org", "127.0.0.1")


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "users"
    path.write_text(
        f"ann:{scram_line(scram_keys('sesame', iterations=4096))}\nbob:{scrypt_line('open')}\nbroken line\n"
    )
    return path


@pytest.fixture
def taken() -> Intake:
    return Intake()


class Guarded:
    """The intake, and a controller that lets nobody relay: only those who may are not asked about."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake

    def __call__(self, program: Program, frame: Any, content: bytes) -> bool:
        if isinstance(frame, Route):
            program.send(VerdictFrame(id=frame.id, code=550, status="5.7.1", text="Relaying not allowed"))
            return True
        return self.intake(program, frame, content)


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.file))


@pytest.fixture
def submission(certificate: Path, users: Path, taken: Intake) -> Iterator[Server]:
    """As on port 587: TLS offered, AUTH needed, nobody trusted for an address."""
    how = service(tls_certificate=str(certificate), password_file=str(users))
    keywords = {"maytlsserver": True, "mustsaslserver": True}
    with Server(Guarded(taken), how, keywords=keywords, logging=True) as server:
        yield server


def log_in(server: Server, authority: Authority, user: str, password: str) -> smtplib.SMTP:
    client = smtplib.SMTP(*server.address, timeout=20)
    client.starttls(context=trusting(authority))
    client.login(user, password)
    return client


def test_mail_over_tls_and_auth(submission: Server, authority: Authority, taken: Intake) -> None:
    """A client that encrypts and says who it is may send anywhere; the trace tells how it came."""
    with log_in(submission, authority, "ann", "sesame") as client:
        client.sendmail("ann@example.org", ["bob@elsewhere.example"], MAIL)
    submit, content = taken.messages[0]
    assert content.endswith(MAIL)
    assert b"\r\n with ESMTPSA id" in content
    assert submit.source is not None
    assert submit.source.user == "ann"
    assert submit.source.application.startswith("SMTP/")
    assert submit.source.application.rpartition("/")[2].startswith("TLSv1.3:")
    assert submit.source.modifiers == "AES"
    event = submission.program.expect(Event, where=lambda frame: frame.event == "auth")
    assert (event.user, event.text[:9]) == ("ann", "235 2.7.0")


@pytest.mark.parametrize(("user", "password"), [("ann", "sesame"), ("bob", "open")])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_both_forms_of_hash_serve_both_mechanisms(
    submission: Server, authority: Authority, user: str, password: str, mechanism: str
) -> None:
    """Users made by jobctl passwd can log in, whichever way their password is kept."""
    client = smtplib.SMTP(*submission.address, timeout=20)
    client.starttls(context=trusting(authority))
    client.ehlo()
    client.user, client.password = user, password  # type: ignore[attr-defined]
    method = client.auth_plain if mechanism == "PLAIN" else client.auth_login
    assert client.auth(mechanism, method)[0] == 235
    client.quit()


def test_a_wrong_password_is_no_right(submission: Server, authority: Authority, taken: Intake) -> None:
    """Neither a wrong password nor an unknown user gets in, and nothing tells the two apart."""
    replies = []
    for user, password, source in (("ann", "wrong", "127.0.0.2"), ("nobody", "sesame", "127.0.0.3")):
        client = smtplib.SMTP(*submission.address, timeout=20, source_address=(source, 0))
        client.starttls(context=trusting(authority))
        client.ehlo()
        client.user, client.password = user, password  # type: ignore[attr-defined]
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            client.auth("PLAIN", client.auth_plain)
        replies.append((caught.value.smtp_code, caught.value.smtp_error))
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            client.sendmail("ann@example.org", ["bob@elsewhere.example"], MAIL)
        assert refused.value.smtp_code == 530
        client.close()
    assert replies[0] == replies[1] == (535, b"5.7.8 Bad username or password.")
    assert taken.messages == []


def test_a_client_that_only_listens(authority: Authority, certificate: Path) -> None:
    """By close_notify it says that it has said all, and hears what there is to say to that (RFC 8446 section 6.1)."""
    how = service(tls_certificate=str(certificate), implicit_tls=True)
    with (
        Server(None, how) as server,
        socket.create_connection(server.address, timeout=20) as client,
    ):
        tls = TlsSession(SSL.Context(SSL.TLS_CLIENT_METHOD), client=True)
        tls.begin()
        tls.send(b"EHLO c\r\nVRFY ann\r\nQUIT\r\n")
        heard = b""
        while not heard:
            client.sendall(tls.take_output())
            heard = tls.receive(client.recv(10_000))
        tls.close()
        client.sendall(tls.take_output())
        asked = server.program.expect(Route)
        with socket.create_connection(
            server.address, timeout=20
        ) as other:  # by now the first has been heard to its end
            other.shutdown(socket.SHUT_WR)
            assert other.recv(100) == b""
        server.program.send(VerdictFrame(id=asked.id, code=252, status="2.5.0", text="perhaps"))
        while not tls.ended:
            heard += tls.receive(client.recv(10_000))
        assert b"252 2.5.0 perhaps" in heard and heard.splitlines()[-1].startswith(b"221 ")


def test_no_password_goes_in_the_clear(submission: Server) -> None:
    """Before TLS no mechanism is offered or served that would show the password."""
    with Client(submission.address) as client:
        client.reply()
        greeting = client.say("EHLO c")
        assert "250-STARTTLS" in greeting
        assert "AUTH SCRAM-SHA-256\n" in greeting
        assert client.say("AUTH PLAIN AGFubgBzZXNhbWU=").startswith("538 5.7.11")
        assert client.say("AUTH SCRAM-SHA-256-PLUS").startswith("504 5.5.4")


def test_commands_sent_with_starttls_are_lost(submission: Server, authority: Authority) -> None:
    """What somebody puts behind STARTTLS in the clear is not done under TLS (CVE-2011-0411)."""
    with socket.create_connection(submission.address, timeout=20) as plain:
        plain.recv(1000)
        plain.sendall(b"EHLO c\r\n")
        plain.recv(1000)
        plain.sendall(b"STARTTLS\r\nEHLO evil\r\nNOOP\r\n")
        assert plain.recv(1000).startswith(b"220 2.5.0")
        with trusting(authority).wrap_socket(plain, server_hostname="mail.example.org") as secure:
            secure.sendall(b"MAIL FROM:<a@b>\r\n")
            # The answer to our own first command: nobody has said EHLO, and no other reply waits.
            assert secure.recv(1000) == b"503 5.5.1 Say EHLO or HELO first.\r\n"


def test_implicit_tls_and_a_certificate_instead_of_a_password(
    authority: Authority, certificate: Path, taken: Intake
) -> None:
    """Port 465: TLS from the first octet; a client with a certificate of ours is who it says."""
    how = service(tls_certificate=str(certificate), implicit_tls=True, tls_client_ca=str(authority.file))
    with Server(Guarded(taken), how) as server:
        context = trusting(authority)
        context.load_cert_chain(authority.issue("client.example", client="carol@example.org"))
        with smtplib.SMTP_SSL(*server.address, timeout=20, context=context) as client:
            assert "starttls" not in client.esmtp_features
            client.sendmail("carol@example.org", ["bob@elsewhere.example"], MAIL)
        source = taken.messages[0][0].source
        assert source is not None
        assert source.user == "carol@example.org"
        # Without a certificate there is nobody to trust.
        with (
            smtplib.SMTP_SSL(*server.address, timeout=20, context=trusting(authority)) as client,
            pytest.raises(smtplib.SMTPRecipientsRefused),
        ):
            client.sendmail("carol@example.org", ["bob@elsewhere.example"], MAIL)


def test_a_foreign_certificate_proves_nothing(
    authority: Authority, certificate: Path, taken: Intake, tmp_path: Path
) -> None:
    """A certificate of somebody else's authority is as good as none."""
    how = service(tls_certificate=str(certificate), implicit_tls=True, tls_client_ca=str(authority.file))
    with Server(Guarded(taken), how) as server:
        context = trusting(authority)
        context.load_cert_chain(Authority(tmp_path, "Other CA").issue("x", client="carol@example.org"))
        with (
            smtplib.SMTP_SSL(*server.address, timeout=20, context=context) as client,
            pytest.raises(smtplib.SMTPRecipientsRefused),
        ):
            client.sendmail("carol@example.org", ["bob@elsewhere.example"], MAIL)


def test_no_mail_without_tls_where_it_is_a_must(certificate: Path) -> None:
    """musttlsserver: 530 until STARTTLS."""
    with (
        Server(
            service=service(tls_certificate=str(certificate), relay_from=("127.0.0.0/8",)),
            keywords={"musttlsserver": True},
        ) as server,
        Client(server.address) as client,
    ):
        client.reply()
        client.say("EHLO c")
        assert client.say("MAIL FROM:<a@b>") == "530 5.7.0 Must issue a STARTTLS command first."


def test_garbage_instead_of_a_handshake_ends_the_connection(submission: Server) -> None:
    """A client that speaks on in the clear after STARTTLS is cut off; others go on."""
    with Client(submission.address) as client:
        client.reply()
        client.say("EHLO c")
        client.say("STARTTLS")
        client.socket.sendall(b"MAIL FROM:<a@b>\r\n" * 100)
        while client.socket.recv(1000):
            pass
    event = submission.program.expect(Event, where=lambda frame: frame.event == "closed")
    assert event.text.startswith("TLS: ")
    with Client(submission.address) as client:
        assert client.reply().startswith("220")


def test_a_key_of_another_certificate_is_told_at_once(authority: Authority, certificate: Path) -> None:
    """Whoever mixes up files is told which, instead of clients failing later."""
    other = authority.issue("other.example")
    program = None
    try:
        with pytest.raises(AssertionError):
            program = Server(
                service=service(tls_certificate=str(certificate), tls_private_key=str(other)),
                keywords={"maytlsserver": True},
            ).program
    finally:
        assert program is None


def test_a_large_message_over_tls(authority: Authority, certificate: Path, taken: Intake) -> None:
    """Content of megabytes arrives octet for octet through records and pieces."""
    how = service(tls_certificate=str(certificate), implicit_tls=True, relay_from=("127.0.0.0/8",))
    content = b"Subject: large\r\n\r\n" + b"".join(b".line %d\r\n" % n for n in range(150_000))
    with (
        Server(taken, how) as server,
        smtplib.SMTP_SSL(*server.address, timeout=60, context=trusting(authority)) as client,
    ):
        client.sendmail("a@example.org", ["b@example.org"], content)
    assert taken.messages[0][1].endswith(content)
