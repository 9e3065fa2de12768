"""Promises of the rewrite rules about clients: which source channel one stands for, and who may choose it."""

import pytest

from jobctl.config.loader import load_text
from jobctl.config.settings import Settings
from jobctl.config.switching import reachable
from jobctl.errors import ConfigError
from jobctl.routing.router import Router

HEAD = """\
[job_controller.channel_class."tcp_*"]
master_command = ["true"]
slave_command = ["true"]
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_local]
switchchannel = true
[channel.tcp_intranet]
official_host_name = "tcp_intranet-daemon"
additional_host_names = ["pc.inside.example.org"]
[channel.tcp_closed]
official_host_name = "tcp_closed-daemon"
noswitchchannel = true
[channel.tcp_auth]
noswitchchannel = true
[mapping]
INTERNAL_IP = '''
$(10.0.0.0/8)  $Y
127.0.0.1      $Y
192.168.*      $N
'''
[rewrite]
"." = "tcp_local"
"""
# As the stock configuration of the original has it.
STOCK = '"[]" = "$E$R${INTERNAL_IP,$L}$U%[$L]@tcp_intranet-daemon"\n'


def settings(rules: str = "", head: str = HEAD) -> Settings:
    return load_text(head + rules, "/x")


def source(host: str, rules: str = "", channel: str = "tcp_local") -> str | None:
    return Router(settings(rules)).source(host, channel)


@pytest.mark.parametrize(
    ("host", "channel"),
    [
        ("[10.1.2.3]", "tcp_intranet"),
        ("[127.0.0.1]", "tcp_intranet"),
        ("[192.168.1.1]", None),
        ("[203.0.113.5]", None),
        ("[IPv6:2001:db8::1]", None),
        ("pc.inside.example.org", "tcp_intranet"),
        ("elsewhere.example", None),
    ],
)
def test_addresses_and_names_choose_a_channel(host: str, channel: str | None) -> None:
    """The stock rule sorts clients by a mapping table, and a channel's own host names by theirs."""
    assert source(host, STOCK) == channel


def test_networks_can_be_written_as_patterns() -> None:
    """Without any table: the octets that addresses begin with."""
    rules = '"[10.]" = "$R$U%[10.$L]@tcp_intranet-daemon"\n"[10.9.]" = "tcp_local"\n'
    assert source("[10.1.2.3]", rules) == "tcp_intranet"
    assert source("[10.9.2.3]", rules) is None


def test_who_may_not_be_chosen_is_not() -> None:
    """A channel with noswitchchannel, or one by which no mail comes in, is never a client's choice."""
    assert source("tcp_closed-daemon") is None
    assert source("mail.example.org") is None


def test_rules_for_clients_are_not_for_recipients() -> None:
    """$R rules lead no mail, and $F rules no client."""
    assert Router(settings(STOCK)).route("a@[10.1.2.3]", "tcp_local").channel == "tcp_local"
    forward = '"[10.]" = "$F$U%[10.$L]@tcp_intranet-daemon"\n'
    assert source("[10.1.2.3]", forward) is None
    assert Router(settings(forward)).route("a@[10.1.2.3]", "tcp_local").channel == "tcp_intranet"


def test_tables_are_asked_for_recipients_too() -> None:
    """A rule applies where its table says yes, by local part as well, and is not remembered for others."""
    rules = '"x.example" = "${VIP,$U}$U%$D@tcp_intranet-daemon"\n'
    head = HEAD.replace("[rewrite]", "VIP = 'boss  $Y'\n[rewrite]")
    router = Router(settings(rules, head))
    assert [router.route(f"{who}@x.example", "tcp_local").channel for who in ("ann", "boss", "ann")] == [
        "tcp_local",
        "tcp_intranet",
        "tcp_local",
    ]
    assert "VIP does not say yes to ann" in " ".join(router.route("ann@x.example", "tcp_local").steps)


def names(config: Settings, start: str) -> list[str]:
    return [one.name for one in reachable(config.channels, config.channels[start])]


def test_what_can_be_reached() -> None:
    """Programs are told of the channels that their clients can come to, and of no others."""
    assert names(settings(), "tcp_local") == ["tcp_intranet"]
    assert names(settings(), "tcp_auth") == []
    chained = HEAD.replace(
        "switchchannel = true\n[channel.tcp_intranet]",
        "tlsswitchchannel = 'tcp_intranet'\n[channel.tcp_intranet]\nsaslswitchchannel = 'tcp_auth'",
    )
    assert names(settings(head=chained), "tcp_local") == ["tcp_intranet", "tcp_auth"]


@pytest.mark.parametrize("word", ["tlsswitchchannel", "saslswitchchannel"])
def test_a_channel_that_is_not_there(word: str) -> None:
    """A switch into nowhere is a mistake of the configuration, told with its line."""
    with pytest.raises(ConfigError) as caught:
        settings(head=HEAD.replace("[channel.tcp_auth]", f"[channel.tcp_auth]\n{word} = 'tcp_atuh'"))
    assert caught.value.problems == [
        f"/x:15: channel.tcp_auth.{word}: channel 'tcp_atuh' is not configured; did you mean tcp_auth?"
    ]
