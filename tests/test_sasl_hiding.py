"""Servers that say our password back: it stands in no reply that is kept, and in no transcript."""

import base64

import pytest

from channels.kit.debug import Transcript
from jobctl.sasl.client import Credentials
from jobctl.sasl.hiding import hidden, secrets_of
from jobctl.smtp.events import SessionFailed
from tests.smtp_dialogues import Client

PASSWORD = "pa55-wörd!"
PLAIN = base64.b64encode(f"\0ann\0{PASSWORD}".encode()).decode()


@pytest.mark.parametrize(
    "said",
    [
        f"535 5.7.8 wrong: AUTH PLAIN {PLAIN}",
        f"501 5.5.4 unknown: 'AUTH PLAIN {PLAIN[:13]}'",
        f"535 5.7.8 {PASSWORD} is not the password of ann",
        f"421 4.7.0 {PLAIN} enough",
        f"AUTH PLAIN {PLAIN}",
    ],
)
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_the_password_is_not_kept(said: str, mechanism: str) -> None:
    """Whatever the server says of our AUTH, and however it ends the session, the reason shows no secret."""
    credentials = Credentials("ann", PASSWORD, mechanism)
    client = Client("AUTH PLAIN LOGIN", config={"credentials": credentials, "must_auth": True})
    if mechanism == "LOGIN":
        client.hear("334 VXNlcm5hbWU6")
        client.hear("334 UGFzc3dvcmQ6")
        said = said.replace(PLAIN[:13], base64.b64encode(PASSWORD.encode()).decode())
    client.hear(said)
    failed = client.last(SessionFailed)
    assert "***" in failed.reply and PASSWORD not in failed.reply and PLAIN[:9] not in failed.reply


def test_the_transcript_does_not_show_it_either() -> None:
    """Nor does master_debug, which shows the reply as it came otherwise."""
    lines: list[str] = []
    transcript = Transcript(True, lines.append, clock=lambda: 0.0)
    transcript.commands(f"AUTH PLAIN {PLAIN}\r\n".encode())
    transcript.replies(f"535 5.7.8 no: {PLAIN[:20]} {PASSWORD}\r\n".encode())
    transcript.commands(b"QUIT\r\n")
    transcript.replies(b"221 2.0.0 bye\r\n")
    shown = [line.partition(": ")[2] for line in lines]
    assert shown == [
        'Sending : "AUTH PLAIN ***"',
        'Received : "535 5.7.8 no: *** ***"',
        'Sending : "QUIT"',
        'Received : "221 2.0.0 bye"',
    ]


def test_what_is_said_otherwise_stays() -> None:
    """Words that only look like a secret, and texts without one, are left alone."""
    assert hidden("5.7.8 Username and Password not accepted", (PASSWORD, PLAIN)) == (
        "5.7.8 Username and Password not accepted"
    )
    assert hidden("abc", ("abc", "")) == "abc"
    token = base64.b64encode(b"user=ann\1auth=Bearer tok-en\1\1").decode()
    assert secrets_of(token) == (token, "tok-en")
    assert secrets_of("*") == ("*",)
