"""XOAUTH2 and OAUTHBEARER on the server's side, what verifiers are asked, and what is remembered of them."""

import json

import pytest

from jobctl.net.remembered import Remembered
from jobctl.sasl.client import Credentials
from jobctl.sasl.client import Exchange as ClientExchange
from jobctl.sasl.server import Challenge, Malformed, TokenClaim, begin, refusal
from jobctl.sasl.verifier import (
    NO,
    Verdict,
    WebAnswer,
    WebQuestion,
    password_question,
    password_verdict,
    token_question,
    token_verdict,
)


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
@pytest.mark.parametrize("user", ["ann@example.org", "a=b,c", "jürgen"])
def test_our_client_and_our_server(mechanism: str, user: str) -> None:
    """Whatever the user is called, the server reads what the client wrote, at once or after a challenge."""
    said = ClientExchange(mechanism, Credentials(user, "tok.en-_~+/=="), None).initial()
    assert begin(mechanism, None).respond(said) == TokenClaim(user, "tok.en-_~+/==")
    later = begin(mechanism, None)
    assert later.respond(None) == Challenge(b"")
    assert later.respond(said) == TokenClaim(user, "tok.en-_~+/==")


@pytest.mark.parametrize(
    ("mechanism", "said", "claim"),
    [
        # RFC 7628 section 4.1, and the example in the documentation of Google's XOAUTH2.
        (
            "OAUTHBEARER",
            b"n,a=user@example.com,\1host=server.example.com\1port=143\1auth=Bearer vF9dft4qmT\1\1",
            TokenClaim("user@example.com", "vF9dft4qmT"),
        ),
        ("XOAUTH2", b"user=u@example.com\1auth=Bearer ya29.vF9\1\1", TokenClaim("u@example.com", "ya29.vF9")),
        ("OAUTHBEARER", b"n,,\1auth=Bearer t\1\1", TokenClaim("", "t")),
        ("OAUTHBEARER", b"y,,\1auth=bearer  t\1\1", TokenClaim("", "t")),
        ("XOAUTH2", b"auth=Bearer t\1\1", TokenClaim("", "t")),
        ("OAUTHBEARER", b"p=tls-exporter,,\1auth=Bearer t\1\1", None),
        ("OAUTHBEARER", b"n,a=x\1auth=Bearer t\1\1", None),
        ("OAUTHBEARER", b"n,a=,\1auth=Bearer t\1\1", None),
        ("OAUTHBEARER", b"n,a=x=y,\1auth=Bearer t\1\1", None),
        ("OAUTHBEARER", b"n,b=x,\1auth=Bearer t\1\1", None),
        ("OAUTHBEARER", b"n,a=x,m\1auth=Bearer t\1\1", None),
        ("OAUTHBEARER", b"n,,\1auth=Basic t\1\1", None),
        ("OAUTHBEARER", b"n,,\1auth=Bearer \1\1", None),
        ("XOAUTH2", b"user=a\1auth=Bearer a b\1\1", None),
        ("XOAUTH2", b"user=a\1auth=Bearer a\r\nX: y\1\1", None),
        ("XOAUTH2", b"user=\xff\1auth=Bearer t\1\1", None),
        ("XOAUTH2", b"", None),
    ],
)
def test_what_clients_may_say(mechanism: str, said: bytes, claim: TokenClaim | None) -> None:
    """The forms of the RFC are read, and nothing else is taken for a token."""
    exchange = begin(mechanism, None)
    if claim is None:
        with pytest.raises(Malformed):
            exchange.respond(said)
    else:
        assert exchange.respond(said) == claim


def test_only_tokens_have_a_refusal() -> None:
    """RFC 7628 section 3.2.2: JSON with the status; other mechanisms end without one."""
    for mechanism in ("XOAUTH2", "OAUTHBEARER"):
        why = refusal(mechanism)
        assert why is not None
        assert json.loads(why)["status"] == "invalid_token"
    assert refusal("PLAIN") is refusal("SCRAM-SHA-256") is None


def test_questions_show_no_secret() -> None:
    """A question that ends up in a traceback tells nothing."""
    for question in (password_question("ann", "s3cret"), token_question("s3cret", "me:s3cret")):
        assert isinstance(question, WebQuestion)
        assert repr(question) in ("WebQuestion(GET)", "WebQuestion(POST)")
        assert str(question) == repr(question)


@pytest.mark.parametrize(
    ("client", "header"), [("me:x", "Basic bWU6eA=="), ("tok", "Bearer tok"), ("", None)]
)
def test_who_we_are_at_the_endpoint(client: str, header: str | None) -> None:
    """id:secret is HTTP Basic, anything else a bearer token, nothing is nothing."""
    assert token_question("t", client).headers.get("Authorization") == header


@pytest.mark.parametrize(
    ("claimed", "body", "verdict"),
    [
        ("ann", {"active": True, "username": "ann"}, Verdict(True, "ann")),
        ("", {"active": True, "username": "ann", "exp": 7}, Verdict(True, "ann", until=7.0)),
        ("Ann", {"active": True, "username": "ann"}, NO),
        # The same to whoever types it (RFC 4013).
        ("\u2168", {"active": True, "username": "IX"}, Verdict(True, "\u2168")),
        ("ann", {"active": False, "username": "ann"}, NO),
    ],
)
def test_whose_a_token_is(claimed: str, body: dict[str, object], verdict: Verdict) -> None:
    """The verifier's word counts; a claim that is not the same is none."""
    answer = WebAnswer(200, "application/json", json.dumps(body).encode())
    assert token_verdict(claimed, answer, "username") == verdict


def test_a_page_that_is_no_json() -> None:
    """200 is enough from a page that says who somebody is to people."""
    for kind, body in (("text/html", b'{"username":"bob"}'), ("application/json", b'{"x":1}'), ("", b"")):
        assert password_verdict("ann", WebAnswer(200, kind, body)) == Verdict(True, "ann")
    for body in (b"{", b"[]", b'{"username":' + b"[" * 50_000):
        assert password_verdict("ann", WebAnswer(200, "application/json", body)).good is None


def test_a_yes_is_kept_for_its_time() -> None:
    """For the lifetime, or until the token ends if that is sooner; for the very same claim only."""
    known = Remembered(60)
    known.keep("ann", "s", "ann", 100)
    known.keep("", "t", "bob", 100, until=110)
    assert (known.find("ann", "s", 159), known.find("", "t", 109)) == ("ann", "bob")
    assert [known.find(*other, 101) for other in (("ann", "t"), ("bob", "s"), ("ann", "s:"))] == [None] * 3
    assert (known.find("ann", "s", 160), known.find("", "t", 110)) == (None, None)
    known.keep("", "old", "bob", 100, until=100)
    assert known.find("", "old", 100) is None


def test_memory_is_bounded_and_has_no_secrets() -> None:
    """The oldest go first, and what is kept of a secret is a hash that no other process makes."""
    known, other = Remembered(60, most=3), Remembered(60)
    for number in range(5):
        known.keep("ann", f"s3cret{number}", "ann", number)
        other.keep("ann", f"s3cret{number}", "ann", number)
    assert [known.find("ann", f"s3cret{number}", 5) for number in range(5)] == [None, None, *["ann"] * 3]
    assert "s3cret" not in repr(vars(known))
    assert not vars(known)["_known"].keys() & vars(other)["_known"].keys()
