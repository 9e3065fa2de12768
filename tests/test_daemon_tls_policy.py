"""TLS policies in the whole daemon: the second connection, rules that change live, and who is asked why."""

import re
from pathlib import Path

import pytest

from tests.configurations import PLACES
from tests.daemon import Daemon, until
from tests.tcp_support import Peer, broken_tls

CONFIGURATION = (
    PLACES
    + """
[dispatcher.service.SMTP]
listen = ["tcp:@PORT@:interface=127.0.0.1"]
channel = "tcp_in"
relay_from = ["127.0.0.0/8"]
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_in]
[channel.@NAME@]
official_host_name = "out-daemon"
smtp = true
port = @PEER@
backoff = ["PT1S"]
@HOW@
[tls_policy]
# rules
[rewrite]
"[]" = "@NAME@"
"""
)


def enqueue(daemon: Daemon) -> str:
    done = daemon.command("enqueue", "--from", "a@x.example", "--to", "b@[127.0.0.1]", "-", input="to you\n")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.real
@pytest.mark.parametrize("channel", ["test_smtp_out", "tcp_out"])
def test_policies_of_both_kinds_of_program(tmp_path: Path, channel: str) -> None:
    """
    Under may a handshake that fails leads to one more connection, in the clear, and the log says so. A rule for the
    destination makes mail wait; explain names its line; without the rule the mail goes.
    """
    taken: list[bytes] = []
    with Peer(broken_tls(taken)) as peer:
        values = {"NAME": channel, "PEER": peer.port, "HOW": 'tls_policy = "may"'}
        with Daemon(tmp_path, CONFIGURATION, **values) as daemon:
            enqueue(daemon)
            until(lambda: len(taken) == 1, 60, daemon.log[-3000:])
            assert peer.count == 2
            until(lambda: "in the clear" in daemon.log, 60, "it is said")
            text = daemon.config.read_text()
            daemon.config.write_text(text.replace("# rules", '# rules\n"[127.0.0.1]" = "must"'))
            changes = daemon.json("reload")["changes"]
            assert [one["key"] for one in changes] == ['tls_policy."[127.0.0.1]"']
            entry = enqueue(daemon)
            row = until(
                lambda: (
                    (found := daemon.ask("explain", message=entry))["causes"][0]["code"] == "host_backoff"
                    and found
                ),
                60,
                daemon.log[-3000:],
            )
            line = text.splitlines().index("# rules") + 2
            (note,) = row["notes"]
            assert note.endswith(f'jobctl.toml:{line}: tls_policy."[127.0.0.1]"')
            assert note.startswith("tls_policy must towards [127.0.0.1], by ")
            assert len(taken) == 1
            daemon.config.write_text(text)
            daemon.json("reload")
            until(lambda: len(taken) == 2, 60, daemon.log[-3000:])


@pytest.mark.real
@pytest.mark.parametrize("channel", ["test_smtp_out", "tcp_out"])
def test_a_loop_is_seen_by_the_client(tmp_path: Path, channel: str) -> None:
    """With loopcheck a next hop that turns out to be this very installation ends in a notification, not in a loop."""
    values = {
        "NAME": channel,
        "PEER": "@PORT@",
        "HOW": "loopcheck = true\ndaemon = '[127.0.0.1]'\nmaxjobs = 1",
    }
    text = CONFIGURATION.replace("@PEER@", "@PORT@").replace(
        "[channel.tcp_in]", "[channel.tcp_in]\nloopcheck = true"
    )
    with Daemon(tmp_path, text, **values) as daemon:
        entry = enqueue(daemon)
        history = until(
            lambda: [row for row in daemon.ask("history", ids=[entry]) if row["what"] == "failed"],
            60,
            daemon.log[-3000:],
        )
        assert re.search("loop detected", history[0]["reply"])
