"""Passwords and tokens checked by web servers, in both server programs."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.auth_case import KINDS, Asked, at_once, b64, plain, start_fails, token_line
from tests.certificates import Authority
from tests.ports import free_port
from tests.tcp_support import Peer, Wire
from tests.web_verifier import JSON, WebVerifier

PASSWORD_FAILED = "535 5.7.8 Bad username or password."
LATER = "454 4.7.0 Temporary authentication failure."
NOT_VALID = "535 5.7.8 The token is not valid here."
MECHANISMS = ("XOAUTH2", "OAUTHBEARER")

each = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def web() -> Iterator[WebVerifier]:
    with WebVerifier() as verifier:
        yield verifier


@each
def test_a_page_checks_passwords(kind: str, web: WebVerifier) -> None:
    """auth_url: who may read the page may send; PLAIN and LOGIN are offered, SCRAM cannot be."""
    with Asked(kind, auth_url=f"{web.url}/users?for=mail") as asked:
        assert asked.mechanisms == ["PLAIN", "LOGIN"]
        assert asked.say(plain("ann", "wrong")) == PASSWORD_FAILED
        failed = asked.event()
        assert (failed.user, failed.text) == ("ann", PASSWORD_FAILED)
        assert asked.say("AUTH LOGIN").startswith("334")
        assert asked.say(b64("ann")).startswith("334")
        assert asked.say(b64("sesame")) == "235 2.7.0 LOGIN authentication successful."
        good = asked.event()
        assert (good.user, good.text) == ("ann", "235 2.7.0 LOGIN")
        assert asked.say("MAIL FROM:<ann@example.org>").startswith("250")
    assert [heard.path for heard in web.heard] == ["/users?for=mail"] * 2
    assert web.heard[1].headers["Authorization"] == f"Basic {b64('ann:sesame')}"


@each
@pytest.mark.parametrize(
    ("user", "password", "reply"),
    [
        ("bob", "pa:ss wörd", "235 2.7.0 PLAIN authentication successful."),
        ("ann:x", "sesame", PASSWORD_FAILED),  # HTTP Basic would make user "ann" of it
    ],
)
def test_odd_names_and_passwords(kind: str, web: WebVerifier, user: str, password: str, reply: str) -> None:
    """What HTTP Basic can carry arrives unchanged; what it cannot is nobody's name, and is not asked."""
    with Asked(kind, auth_url=f"{web.url}/users") as asked:
        assert asked.say(plain(user, password)) == reply
    assert len(web.heard) == reply.startswith("235")


@each
def test_answers_of_a_page(kind: str, web: WebVerifier) -> None:
    """Only 401 and 403, or another user's name, say no; whatever else is not a yes is temporary."""
    with Asked(kind, auth_url=f"{web.url}/users") as asked:
        for status in (302, 307, 400, 404, 429, 500, 503):
            web.answer = (status, "text/html", b"x")
            assert asked.say(plain("ann", "sesame")) == LATER
        # Never to where a redirection points.
        assert {heard.path for heard in web.heard} == {"/users"}
        for refusal in ((403, "text/html", b"no"), (200, JSON, b'{"username":"bob"}')):
            web.answer = refusal
            assert asked.say(plain("ann", "sesame")) == PASSWORD_FAILED
        web.answer = (200, f"{JSON}; charset=utf-8", b'{"username":"ann"}')
        assert asked.say(plain("ann", "sesame")).startswith("235")
    assert len(web.heard) == 10


@each
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_tokens(kind: str, web: WebVerifier, mechanism: str, tmp_path: Path) -> None:
    """introspection_url tells whose a token is; we say there who we are."""
    web.tokens["good.token-1=="] = {"active": True, "username": "ann", "exp": 2**40}
    client = tmp_path / "client"
    client.write_text("mail server:s%cret\n")
    with Asked(kind, introspection_url=f"{web.url}/tokens", introspection_client_file=str(client)) as asked:
        assert asked.mechanisms == ["OAUTHBEARER", "XOAUTH2"]
        said = f"235 2.7.0 {mechanism} authentication successful."
        assert asked.say(token_line(mechanism, "ann", "good.token-1==")) == said
        good = asked.event()
        assert (good.user, good.text) == ("ann", f"235 2.7.0 {mechanism}")
    (heard,) = web.heard
    assert heard.body == b"token=good.token-1%3D%3D&token_type_hint=access_token"
    assert heard.headers["Authorization"] == f"Basic {b64('mail+server:s%25cret')}"


@each
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_token_of_somebody_else(kind: str, web: WebVerifier, mechanism: str) -> None:
    """Who a client is follows from the token, not from what it says; it is told why, and then 535."""
    web.tokens |= {name: {"active": True, "username": name[:-1]} for name in ("anns", "bobs")}

    def claim(case: tuple[str, str]) -> None:
        user, token = case
        with Asked(kind, introspection_url=f"{web.url}/tokens") as asked:
            challenge = asked.say(token_line(mechanism, user, token))
            assert challenge.startswith("334 "), case
            said = json.loads(base64.b64decode(challenge[4:]))
            assert said == {"status": "invalid_token", "schemes": "bearer"}
            # Told before the client has asked for the 535: it may not.
            failed = asked.event()
            assert (failed.user, failed.text) == (user, NOT_VALID)
            assert asked.say("AQ==" if mechanism == "OAUTHBEARER" else "") == NOT_VALID
            assert asked.say("MAIL FROM:<ann@example.org>").startswith("530")

    at_once(claim, [("ann", "unknown"), ("ann", "bobs"), ("ann@example.org", "anns")])


@each
def test_a_client_that_claims_nothing(kind: str, web: WebVerifier) -> None:
    """Without a claim the client is whoever the token is of; a wrong token is nobody's."""
    web.tokens["t"] = {"active": True, "username": "carol"}

    def claim(mechanism: str) -> None:
        with Asked(kind, introspection_url=f"{web.url}/tokens") as asked:
            assert asked.say(token_line(mechanism, "", "x")).startswith("334")
            # Not a way out of being counted.
            assert asked.say("*") == NOT_VALID
            assert asked.event().user == ""
            assert asked.say(token_line(mechanism, "", "t")).startswith("235")
            assert asked.event().user == "carol"

    at_once(claim, MECHANISMS)


def test_guesses_are_counted_and_cut_off(web: WebVerifier) -> None:
    """The third bad token ends the connection, as the third bad password does."""

    def guess(kind: str) -> None:
        with Asked(kind, introspection_url=f"{web.url}/tokens") as asked:
            for _ in range(3):
                assert asked.say(token_line("XOAUTH2", "ann", "x")).startswith("334")
                assert asked.event().text == NOT_VALID
                assert asked.say("") == NOT_VALID
            assert asked.reply() == "421 4.7.0 Too many failed authentications; disconnecting."

    at_once(guess, KINDS)


@each
def test_trouble_with_introspection(kind: str, web: WebVerifier) -> None:
    """401 is about us, not about the token; whatever is no clear answer is 454, and the log says why."""
    keys = {"introspection_url": f"{web.url}/tokens", "introspection_user": "email"}
    answers = [
        ((401, JSON, b"{}"), "it answers 401"),
        ((403, JSON, b"{}"), "it answers 403"),
        ((500, "text/html", b"oops"), "it answers 500"),
        ((200, JSON, b"[]"), "not one of token introspection"),
        ((200, JSON, b"{"), "not one of token introspection"),
        ((200, JSON, b'{"active":"yes"}'), "not one of token introspection"),
        ((200, JSON, b'{"active":true}'), "its answer has no email: see introspection_user"),
        ((200, JSON, b'{"active":true,"email":"' + b"x" * 70_000 + b'"}'), "not one of token introspection"),
    ]
    with Asked(kind, **keys) as asked:
        for web.answer, _ in answers:
            assert asked.say(token_line("OAUTHBEARER", "ann", "tok")) == LATER
        event = asked.event()
        assert (event.user, event.text) == ("ann", LATER)
        log = [line for line in asked.log().splitlines() if "cannot be checked" in line]
    assert [told in line for line, (_, told) in zip(log, answers, strict=True)] == [True] * len(answers)
    assert all("AUTH OAUTHBEARER of 'ann' cannot be checked: " in line for line in log)


@each
@pytest.mark.parametrize("what", ["closed", "silent", "untrusted"])
def test_no_verifier_no_verdict(kind: str, what: str, tmp_path: Path) -> None:
    """Nobody there, nobody who answers in time, or somebody who is not who he should be: 454, never 535."""
    certificate = Authority(tmp_path).issue("127.0.0.1") if what == "untrusted" else None
    with WebVerifier(certificate) as web:
        web.silent = True
        url = web.url if what != "closed" else f"http://127.0.0.1:{free_port()}"
        keys = {"auth_url": f"{url}/users", "introspection_url": f"{url}/tokens", "auth_timeout": 0.5}
        with Asked(kind, **keys) as asked:
            assert asked.say(plain("ann", "sesame")) == LATER
            assert asked.say(token_line("XOAUTH2", "ann", "tok")) == LATER
            assert asked.say("NOOP").startswith("250")
            lines = [line.split(":")[0] for line in asked.log().splitlines()]
            assert [line for line in lines if "cannot be checked" in line] == [
                "AUTH PLAIN of 'ann' cannot be checked",
                "AUTH XOAUTH2 of 'ann' cannot be checked",
            ]
        # Whoever cannot prove who he is has seen no secret.
        assert len(web.heard) == (2 if what == "silent" else 0)


@each
@pytest.mark.parametrize(
    "said",
    [
        b"220 mail.example.org ESMTP\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nshort",
        b"HTTP/1.1 200 OK\r\n" + b"x" * 100_000,
    ],
)
def test_what_is_no_answer(kind: str, said: bytes) -> None:
    """Somebody who does not speak HTTP, or hangs up in the midst of it, has said neither yes nor no."""

    def script(wire: Wire, number: int) -> None:
        while wire.socket.recv(65536).find(b"\r\n\r\n") < 0:
            pass
        wire.socket.sendall(said)

    with Peer(script) as peer, Asked(kind, auth_url=f"http://127.0.0.1:{peer.port}/") as asked:
        assert asked.say(plain("ann", "sesame")) == LATER
        assert "of 'ann' cannot be checked: " in asked.log()


@each
def test_https_with_a_ca_file(kind: str, tmp_path: Path) -> None:
    """auth_ca_file says whom to believe."""
    authority = Authority(tmp_path)
    with (
        WebVerifier(authority.issue("127.0.0.1")) as web,
        Asked(kind, auth_url=f"{web.url}/users", auth_ca_file=str(authority.file)) as asked,
    ):
        assert asked.say(plain("ann", "sesame")).startswith("235")


@each
def test_a_certificate_for_another_name(kind: str, tmp_path: Path) -> None:
    """The right authority is not enough: the name in the URL is to be proved."""
    authority = Authority(tmp_path)
    with (
        WebVerifier(authority.issue("auth.example.org")) as web,
        Asked(kind, auth_url=f"{web.url}/users", auth_ca_file=str(authority.file)) as asked,
    ):
        assert asked.say(plain("ann", "sesame")) == LATER
        assert web.heard == []


@each
def test_a_file_is_missing(kind: str, tmp_path: Path) -> None:
    """What is needed to ask is looked at when the program starts: exit status 78."""
    (tmp_path / "empty").write_text("\n")
    for key in ("introspection_client_file", "auth_ca_file"):
        status, words = start_fails(
            kind, introspection_url="https://127.0.0.1/", **{key: str(tmp_path / "empty")}
        )
        assert status == 78
        assert key in words


@each
def test_tokens_are_secrets_too(kind: str, web: WebVerifier) -> None:
    """Without TLS no token is taken unless the operator says so."""
    keys = {"auth_url": f"{web.url}/users", "introspection_url": f"{web.url}/tokens"}
    with Asked(kind, plaintext_auth=False, **keys) as asked:
        assert asked.mechanisms == []
        for line in (plain("ann", "sesame"), token_line("XOAUTH2", "ann", "t"), "AUTH OAUTHBEARER"):
            assert asked.say(line).startswith("538 5.7.11")
        assert web.heard == []


@each
def test_large_tokens(kind: str, web: WebVerifier) -> None:
    """A token of 8,000 octets passes (RFC 4954 has 12,288 for a line), at once or after the challenge."""
    token = "a.b-" * 2000
    web.tokens[token] = {"active": True, "username": "ann"}
    with Asked(kind, introspection_url=f"{web.url}/tokens") as asked:
        verb, mechanism, response = token_line("XOAUTH2", "ann", "x" + token[1:]).split()
        assert asked.say(f"{verb} {mechanism}").strip() == "334"
        assert asked.say(response).startswith("334")
        assert asked.say("").startswith("535")
        assert asked.say(token_line("OAUTHBEARER", "ann", token)).startswith("235")
        assert asked.say("NOOP " + "x" * 5000).startswith("500")


@each
def test_stopping_while_somebody_is_asked(kind: str, web: WebVerifier) -> None:
    """A verifier that does not answer holds up no stop longer than it may take, and nobody gets 535."""
    web.silent = True
    with Asked(kind, auth_url=f"{web.url}/users", auth_timeout=1) as asked:
        asked.send(plain("ann", "sesame"))
        web.came.wait(20)
        assert asked.stop() == 0
        assert asked.reply() == LATER
        assert asked.reply().startswith("421 4.3.2")


def test_a_yes_is_remembered_for_a_while() -> None:
    """The TCP server asks once in auth_cache_time for a good secret, each time for a bad one."""

    def ask(case: tuple[int, int]) -> None:
        seconds, asked_for = case
        with WebVerifier() as web:
            web.tokens["t"] = {"active": True, "username": "ann"}
            keys = {"auth_url": f"{web.url}/users", "introspection_url": f"{web.url}/tokens"}
            with Asked("tcp", auth_cache_time=seconds, **keys) as asked:
                for _ in range(3):
                    for line in (plain("ann", "sesame"), token_line("XOAUTH2", "ann", "t")):
                        assert asked.again(line).startswith("235")
                assert asked.again(plain("ann", "sesam")).startswith("535")
                assert asked.again(plain("ann", "sesam")).startswith("535")
            assert len(web.heard) == 2 * asked_for + 2

    at_once(ask, ((60, 1), (0, 3)))
