"""jobctl test tls and test delivery, against servers that are there."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.tcp_support import Peer, Wire, broken_tls
from tests.test_tcp_client_tls import context

CONFIGURATION = """
[job_controller]
queue_directory = "var/queue"
[job_controller.channel_class."tcp_*"]
master_command = "tcp_smtp_client"
[job_controller.channel_class."maildir*"]
master_command = "maildir_master"
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_gateway]
official_host_name = "gateway"
smtp = true
daemon = "[127.0.0.1]"
port = {port}
tls_policy = "{policy}"
tls_ca_file = "{ca}"
[channel.maildir]
official_host_name = "maildir-daemon"
maildir = "Maildir"
[rewrite]
"here.example" = "maildir"
"away.example" = "tcp_gateway"
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def run(folder: Path, port: int, authority: Authority, policy: str, *words: str) -> tuple[int, list[str]]:
    """Exit status and steps."""
    path = folder / "jobctl.toml"
    path.write_text(CONFIGURATION.format(port=port, policy=policy, ca=authority.file))
    done = subprocess.run(
        [sys.executable, "-m", "jobctl.commands.main", "--config", str(path), "test", *words, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    value: dict[str, Any] = json.loads(done.stdout)
    assert value["status"] == done.returncode
    return done.returncode, value["steps"]


def plain(heard: list[bytes], rcpt: str) -> Any:
    def script(wire: Wire, number: int) -> None:
        wire.heard = heard
        wire.greet("SIZE 1000")
        wire.line()
        wire.say("250 sender")
        wire.line()
        wire.say(rcpt)
        wire.line()
        wire.say("221 bye")

    return script


@pytest.mark.parametrize(
    ("reply", "status", "words"),
    [
        ("250 2.1.5 welcome", 0, "would be taken"),
        ("450 4.2.1 later", 75, "would be deferred"),
        ("550 5.1.1 nobody", 69, "would be returned"),
        ("552 5.2.2 full", 75, "would be deferred"),
        ("421 4.3.2 stopping", 75, "would be deferred"),
        ("354 go", 75, "would be deferred"),
    ],
)
def test_delivery_tells_each_step(
    tmp_path: Path, authority: Authority, reply: str, status: int, words: str
) -> None:
    """Rule, next hop, greeting and the reply to the recipient; no content goes out."""
    heard: list[bytes] = []
    with Peer(plain(heard, reply)) as peer:
        found, steps = run(
            tmp_path, peer.port, authority, "none", "delivery", "bob@away.example", "--from", "a@b.example"
        )
    assert found == status
    assert steps[0].startswith("bob@away.example goes to channel tcp_gateway by rule away.example")
    assert f"connected to [127.0.0.1] [127.0.0.1]:{peer.port}" in steps
    assert words in steps[-1]
    assert heard == [
        b"EHLO mail.example.org",
        b"MAIL FROM:<a@b.example>",
        b"RCPT TO:<bob@away.example>",
        b"QUIT",
    ]


def test_a_greeting_that_refuses_us(tmp_path: Path, authority: Authority) -> None:
    """A banner of 5xx returns mail, and that is what is said."""
    with Peer(lambda wire, number: wire.say("554 5.7.1 no mail here")) as peer:
        status, steps = run(tmp_path, peer.port, authority, "none", "delivery", "bob@away.example")
    assert (status, steps[-1]) == (69, "mail would be returned")
    assert steps[-2].startswith("554 5.7.1 no mail here")


def test_a_peer_that_hangs_up_on_ehlo(tmp_path: Path, authority: Authority) -> None:
    """It is tried again with HELO, as the client does."""
    heard: list[bytes] = []

    def script(wire: Wire, number: int) -> None:
        wire.heard = heard
        wire.say("220 peer")
        if wire.line().startswith(b"HELO"):
            for reply in ("250 peer", "250 ok", "250 ok", "221 bye"):
                wire.say(reply)
                wire.line()

    with Peer(script) as peer:
        status, steps = run(tmp_path, peer.port, authority, "none", "delivery", "bob@away.example")
    assert (status, steps[-1]) == (0, "it would be taken")
    assert heard[:2] == [b"EHLO mail.example.org", b"HELO mail.example.org"]


def test_an_address_that_the_peer_cannot_have(tmp_path: Path, authority: Authority) -> None:
    """Without SMTPUTF8 there, an address that needs it is not asked about: mail would be returned."""
    heard: list[bytes] = []
    with Peer(plain(heard, "250 ok")) as peer:
        status, steps = run(tmp_path, peer.port, authority, "none", "delivery", "jürgen@away.example")
    assert status == 69
    assert "SMTPUTF8" in steps[-1]
    assert heard[:2] == [b"EHLO mail.example.org", b"QUIT"]


def test_delivery_that_goes_nowhere_or_stays_here(tmp_path: Path, authority: Authority) -> None:
    """An address without a rule, one delivered on this machine, and a next hop that does not answer."""
    assert run(tmp_path, 1, authority, "none", "delivery", "bob@nowhere.example")[0] == 68
    status, steps = run(tmp_path, 1, authority, "none", "delivery", "bob@here.example")
    assert (status, "maildir_master" in steps[-1]) == (0, True)
    status, steps = run(tmp_path, 1, authority, "none", "delivery", "bob@away.example")
    assert status == 75
    assert "Connection refused" in steps[-2]


@pytest.mark.parametrize(
    ("names", "policy", "status", "words"),
    [
        (("127.0.0.1",), "verify", 0, "every policy would send"),
        (("other.example",), "verify", 75, "verify would wait: its certificate is not for 127.0.0.1"),
        (("other.example",), "must", 0, "verify would wait"),
    ],
)
def test_tls_explains_itself(
    tmp_path: Path, authority: Authority, names: tuple[str, ...], policy: str, status: int, words: str
) -> None:
    """Protocol, certificate and what each policy makes of it."""
    made = context(authority.issue(*names))

    def script(wire: Wire, number: int) -> None:
        wire.greet("STARTTLS")
        wire.line()
        wire.say("220 go")
        with made.wrap_socket(wire.socket, server_side=True) as encrypted:
            inner = Wire(encrypted)
            inner.line()
            inner.say("250 ok")
            inner.line()
            inner.say("221 bye")

    with Peer(script) as peer:
        found, steps = run(tmp_path, peer.port, authority, policy, "tls", "away.example")
    assert found == status
    assert any(step.startswith("TLS: TLSv1.3/") for step in steps)
    assert f"for {names[0]}" in next(step for step in steps if step.startswith("certificate of"))
    assert words in steps[-1]


def test_tls_that_is_not_offered(tmp_path: Path, authority: Authority) -> None:
    """What would go in the clear, and what would wait."""

    def script(wire: Wire, number: int) -> None:
        wire.greet("SIZE")
        wire.line()
        wire.say("221 bye")

    with Peer(script) as peer:
        assert run(tmp_path, peer.port, authority, "must", "tls", "away.example")[0] == 75
    with Peer(script) as peer:
        status, steps = run(tmp_path, peer.port, authority, "may", "tls", "away.example")
    assert (status, steps[-1].startswith("no TLS (no STARTTLS is offered): none and may")) == (0, True)


@pytest.mark.parametrize(("policy", "status"), [("may", 0), ("must", 75)])
@pytest.mark.parametrize("what", ["tls", "delivery"])
def test_a_handshake_that_fails(
    tmp_path: Path, authority: Authority, policy: str, status: int, what: str
) -> None:
    """Under may what would happen on the second connection is shown too; must would wait."""
    with Peer(broken_tls([])) as peer:
        word = "away.example" if what == "tls" else "bob@away.example"
        found, steps = run(tmp_path, peer.port, authority, policy, what, word)
    assert found == status
    told = [step for step in steps if "once more, in the clear" in step]
    assert bool(told) == (policy == "may" or what == "tls")


def test_the_line_that_is_responsible(tmp_path: Path, authority: Authority) -> None:
    """Both say which policy counts towards the destination, and by which line."""
    for word, what in (("away.example", "tls"), ("bob@away.example", "delivery")):
        with Peer(plain([], "250 ok")) as peer:
            _, steps = run(tmp_path, peer.port, authority, "none", what, word)
        (told,) = [step for step in steps if "tls_policy" in step and "towards" in step]
        assert told.startswith("channel tcp_gateway, tls_policy none towards [127.0.0.1], by ")
        assert told.endswith("jobctl.toml:15: channel.tcp_gateway.tls_policy")


def test_ip_access_counts(tmp_path: Path, authority: Authority) -> None:
    """What the table skips or forbids is told, and nobody is connected to."""
    for template, status, last in (
        ("$I", 75, "IP_ACCESS allows none of these addresses: mail would wait"),
        ("$N", 69, "Invalid host: [127.0.0.1] (5.1.2): mail would be returned"),
    ):
        table = f'may"\n[mapping]\nIP_ACCESS = "* {template}'
        found, steps = run(tmp_path, 1, authority, table, "delivery", "bob@away.example")
        assert (found, steps[-1]) == (status, last)
