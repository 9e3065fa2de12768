"""Promises of [tls_policy]: TLS by destination."""

import msgspec
import pytest

from jobctl.config.difference import differences
from jobctl.config.loader import load_text
from jobctl.config.places import of_tls_policy
from jobctl.config.settings import Settings
from jobctl.config.tls_policy import MOST
from jobctl.config.towards import Towards, towards
from jobctl.errors import ConfigError
from jobctl.jobprotocol.frames import MAX_LINE
from jobctl.schedule.queues import needs_new_programs

BASE = """\
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_local]
tls_policy = "may"
tls_ca_file = "own.pem"
[channel.tcp_465]
official_host_name = "gate.bank.example"
daemon = "router"
implicit_tls = true
[channel.maildir]
maildir = "Maildir"
"""
TABLE = """\
[tls_policy]
"bank.example" = "verify"
".bank.example" = { policy = "verify", server_name = "mx.bank.example", ca_file = "bank.pem" }
"Open.Bank.Example" = "none"
"bücher.example" = "must"
"[192.0.2.7]" = "must"
"""


def load(table: str = TABLE) -> Settings:
    return load_text(BASE + table, "/etc/jobctl.toml", exists=lambda path: "missing" not in path)


def found(destination: str, channel: str = "tcp_local") -> Towards:
    return towards(load().channels[channel], destination)


@pytest.mark.parametrize(
    ("destination", "policy", "pattern"),
    [
        ("bank.example", "verify", "bank.example"),
        ("BANK.example.", "verify", "bank.example"),
        ("a.bank.example", "verify", ".bank.example"),
        ("a.b.bank.example", "verify", ".bank.example"),
        ("open.bank.example", "none", "Open.Bank.Example"),
        ("sub.open.bank.example", "verify", ".bank.example"),
        ("xn--bcher-kva.example", "must", "bücher.example"),
        ("[192.0.2.7]", "must", "[192.0.2.7]"),
        ("notbank.example", "may", None),
        ("[192.0.2.70]", "may", None),
        ("example", "may", None),
        ("", "may", None),
    ],
)
def test_the_most_specific_rule_counts(destination: str, policy: str, pattern: str | None) -> None:
    """A host by its name, all below a domain by .domain; whoever is not named has the channel's policy."""
    one = found(destination)
    assert one.policy == policy
    assert (one.rule.pattern if one.rule else None) == pattern


def test_what_a_rule_does_not_say_is_the_channels() -> None:
    """Name and trust anchors come from the rule, else from the channel."""
    assert (found("a.bank.example").server_name, found("a.bank.example").ca_file) == (
        "mx.bank.example",
        "/etc/bank.pem",
    )
    assert (found("bank.example").server_name, found("bank.example").ca_file) == (None, "/etc/own.pem")


def test_implicit_tls_has_no_clear_text() -> None:
    """Where a connection begins with TLS no rule can make it go without."""
    assert found("gate.bank.example", "tcp_465").policy == "verify"
    assert found("open.bank.example", "tcp_465").policy == "must"


def test_only_channels_that_send_by_smtp_have_them() -> None:
    """A Maildir needs no new programs when a policy changes."""
    old, new = load(), load(TABLE.replace('"bank.example" = "verify"', '"bank.example" = "must"'))
    changed = {name for name in new.channels if needs_new_programs(old.channels[name], new.channels[name])}
    assert changed == {"tcp_local", "tcp_465"}
    assert not needs_new_programs(old.channels["tcp_local"], load("\n\n" + TABLE).channels["tcp_local"])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('"bank.example" = "always"', "'always' is not one of none, may, must, verify, nor a table such as"),
        ('"bank.example" = 7', "7 is not one of none"),
        ('"bank.example" = "dane"', "mail would go out without what it promises"),
        ('"bank.example" = { policy = "mta-sts" }', "mail would go out without what it promises"),
        ('"bank.example" = { server_name = "mx" }', "needs policy: none, may, must, verify"),
        ('"bank.example" = { policy = "verify", ca = "x" }', "there is no such key of a destination's TLS"),
        ('"bank.example" = { policy = "verify", ca_file = "missing.pem" }', "no file '/etc/missing.pem'"),
        ('"." = "verify"', "what counts for all others is the channels' tls_policy"),
        ('"*.bank.example" = "verify"', "is not a destination: write bank.example, .bank.example"),
        ('"ann@bank.example" = "verify"', "is not a destination"),
        (
            '"BANK.example" = "must"\n"bank.example" = "verify"',
            "is already given on line 13, as BANK.example",
        ),
    ],
)
def test_mistakes(line: str, problem: str) -> None:
    """Told with file, line and key, and with what to write."""
    with pytest.raises(ConfigError) as caught:
        load(f"[tls_policy]\n{line}\n")
    (text,) = caught.value.problems
    assert problem in text
    last = 13 + line.count("\n")
    assert text.startswith(f"/etc/jobctl.toml:{last}: tls_policy.")


def test_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would not fit into a program's hello is refused when it is read, not when mail is to go."""
    lines = "".join(f'"h{number}.example" = "must"\n' for number in range(20))
    size = len(msgspec.json.encode(load("[tls_policy]\n" + lines).tls_policy))
    monkeypatch.setattr("jobctl.config.tls_policy.MOST", size)
    load("[tls_policy]\n" + lines)
    with pytest.raises(ConfigError, match=f"programs can be told {size}; write .domain"):
        load("[tls_policy]\n" + lines + '"other.example" = "must"\n')
    assert 2 * MOST <= MAX_LINE


@pytest.mark.parametrize(
    ("channel", "destination", "place"),
    [
        ("tcp_local", "a.bank.example", '/etc/jobctl.toml:14: tls_policy.".bank.example"'),
        ("tcp_local", "open.bank.example", '/etc/jobctl.toml:15: tls_policy."Open.Bank.Example"'),
        ("tcp_local", "elsewhere.example", "/etc/jobctl.toml:4: channel.tcp_local.tls_policy"),
        ("tcp_465", "elsewhere.example", "/etc/jobctl.toml:9: channel.tcp_465.implicit_tls"),
        ("l", "elsewhere.example", "channel.l.tls_policy (default)"),
    ],
)
def test_the_line_that_is_responsible(channel: str, destination: str, place: str) -> None:
    """Whoever asks why learns which line to change."""
    settings = load()
    one = settings.channels[channel]
    assert of_tls_policy(settings, one, towards(one, destination)).text == place


def test_a_reload_tells_each_destination_that_changed() -> None:
    """By its key, once, however many channels it concerns."""
    new = TABLE.replace('"bank.example" = "verify"', '"bank.example" = "must"').replace(
        'server_name = "mx.bank.example"', 'server_name = "new.bank.example"'
    )
    changes = {one.key: (one.old, one.new, one.line) for one in differences(load(), load(new))}
    assert changes == {
        'tls_policy."bank.example"': ("verify", "must", 13),
        'tls_policy.".bank.example".server_name': ("mx.bank.example", "new.bank.example", 14),
    }
    added = {one.key: (one.old, one.new) for one in differences(load(""), load())}
    assert added['tls_policy."bücher.example"'] == (None, "must")
    assert len(added) == 5
