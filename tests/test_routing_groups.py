"""Promises about recipients that share queue entries, and about whose domains are ours."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.config.loader import load_default, load_text
from jobctl.mail.envelope import Recipient
from jobctl.routing import router as router_module
from jobctl.routing.router import NoRoute, Router

CHANNELS = """\
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_local]
official_host_name = "tcp-daemon"
[channel.tcp_single]
official_host_name = "single-daemon"
single = true
[channel.tcp_few]
official_host_name = "few-daemon"
addrsperfile = 2
[channel.test_smtp_gw]
official_host_name = "gateway.example.net"
daemon = "router"
[job_controller.channel_class.pipe_x]
anon_host = 1
[channel.pipe_x]
single_sys = true
[rewrite]
"single.example" = "tcp_single"
"few.example" = "tcp_few"
".gw.example" = "test_smtp_gw"
".pipe.example" = "pipe_x"
"old.example" = "$U%new.example@tcp-daemon"
"." = "tcp_local"
"""

NAMED = CHANNELS.replace(
    "[job_controller.",
    """\
[channel.tcp_unnamed]
[channel.tcp_named]
official_host_name = "named.example.net"
[channel.test_smtp_far]
official_host_name = "far-daemon"
transport = "command:/opt/far"
[job_controller.""",
)


def group(*addresses: str) -> list[tuple[str, str, list[str]]]:
    router = Router(load_text(CHANNELS, "/x"))
    groups = router.group([Recipient(address) for address in addresses], "tcp_local")
    return [(channel, host, [recipient.address for recipient in found]) for channel, host, found in groups]


def test_one_entry_per_destination_host() -> None:
    """Recipients of one host share an entry, whatever the case of its name; hosts are kept apart."""
    assert group("a@one.example", "b@two.example", "c@ONE.example.") == [
        ("tcp_local", "one.example", ["a@one.example", "c@ONE.example."]),
        ("tcp_local", "two.example", ["b@two.example"]),
    ]


def test_one_entry_behind_a_gateway() -> None:
    """Behind a gateway, or where hosts are not told apart, all recipients share one entry."""
    assert group("a@x.gw.example", "b@y.gw.example", "c@z.pipe.example", "d@y.pipe.example") == [
        ("test_smtp_gw", "", ["a@x.gw.example", "b@y.gw.example"]),
        ("pipe_x", "", ["c@z.pipe.example", "d@y.pipe.example"]),
    ]


def test_one_entry_per_recipient_and_few_per_entry() -> None:
    """single gives each recipient its entry; addrsperfile splits what is too many for one."""
    assert group("a@single.example", "b@single.example") == [
        ("tcp_single", "single.example", ["a@single.example"]),
        ("tcp_single", "single.example", ["b@single.example"]),
    ]
    assert [found for _, _, found in group(*(f"{n}@few.example" for n in range(5)))] == [
        ["0@few.example", "1@few.example"],
        ["2@few.example", "3@few.example"],
        ["4@few.example"],
    ]


def test_a_recipient_given_twice_goes_out_once() -> None:
    """The same address twice is delivered once; local parts that differ in case are two."""
    assert group("a@x.example", "a@X.EXAMPLE", "A@x.example", "a@x.example") == [
        ("tcp_local", "x.example", ["a@x.example", "A@x.example"])
    ]
    assert group("a@old.example", "a@new.example") == [("tcp_local", "new.example", ["a@new.example"])]


def test_what_the_sender_wrote_is_remembered() -> None:
    """A readdressed recipient keeps its old address for notifications, and every parameter it had."""
    router = Router(load_text(CHANNELS, "/x"))
    ((_, host, (recipient,)),) = router.group([Recipient("a+b=c@old.example", notify="NEVER")], "tcp_local")
    assert host == "new.example"
    old = "a+b=c@old.example"
    assert recipient == Recipient("a+b=c@new.example", "NEVER", "rfc822;a+2Bb+3Dc@old.example", old)
    ((_, _, (international,)),) = router.group([Recipient("+é@old.example")], "tcp_local")
    assert international.orcpt == r"utf-8;\x{2B}\x{E9}@old.example"
    ((_, _, (kept,)),) = router.group([Recipient("a@old.example", orcpt="rfc822;x@y")], "tcp_local")
    assert kept.orcpt == "rfc822;x@y"


def test_a_bare_local_part_is_at_this_host() -> None:
    """postmaster without a domain is the postmaster of this host, alone and among others."""
    assert group("postmaster") == [("l", "", ["postmaster@mail.example.org"])]
    assert group("postmaster", "a@mail.example.org")[0][2] == [
        "postmaster@mail.example.org",
        "a@mail.example.org",
    ]


def test_one_bad_recipient_decides_nothing_for_others() -> None:
    """When an address leads nowhere, the caller learns it before anything is queued."""
    with pytest.raises(NoRoute):
        group("a@x.example", "@")


def test_a_chosen_channel() -> None:
    """With a channel chosen by hand no rule is asked, and entries are made as for any other."""
    router = Router(load_text(CHANNELS, "/x"))
    people = [Recipient("a@old.example"), Recipient("postmaster"), Recipient("a@OLD.example")]
    assert router.group_into("tcp_local", people) == [
        ("tcp_local", "old.example", [Recipient("a@old.example")]),
        ("tcp_local", "mail.example.org", [Recipient("postmaster@mail.example.org")]),
    ]
    assert router.group_into("test_smtp_gw", people[:1]) == [("test_smtp_gw", "", people[:1])]
    with pytest.raises(NoRoute, match="not configured"):
        router.group_into("none", people)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(["one.example", "few.example", "x.gw.example", "single.example"]),
        )
    )
)
def test_nobody_is_lost_and_nobody_is_invented(pairs: list[tuple[str, str]]) -> None:
    """Each recipient is in exactly one entry, however they are sorted."""
    addresses = [f"{local}@{domain}" for local, domain in pairs]
    sorted_out = [address for _, _, found in group(*addresses) for address in found]
    assert sorted(sorted_out) == sorted(set(addresses))


@pytest.mark.parametrize(
    ("address", "source", "ours"),
    [
        ("a@mail.example.org", "tcp_local", True),
        ("postmaster", "tcp_local", True),
        ("a@x.gw.example", "tcp_local", True),
        ("a@gateway.example.net", "tcp_local", True),
        ("a@x.gw.example", "test_smtp_gw", False),
        ("a@elsewhere.example", "tcp_local", False),
        ("a@elsewhere.example", "l", False),
        ("a@[192.0.2.1]", "tcp_local", False),
        ("a@old.example", "tcp_local", False),
        ("a@tcp-daemon", "tcp_local", False),
        ("a@single-daemon", "tcp_local", False),
        ("a@tcp_unnamed.mail.example.org", "tcp_local", False),
        ("a@named.example.net", "tcp_local", True),
        ("a@far-daemon", "tcp_local", True),
        ("a@pipe_x.mail.example.org", "tcp_local", True),
        ("@", "tcp_local", False),
    ],
)
def test_what_is_ours(address: str, source: str, ours: bool) -> None:
    """
    Strangers may send to domains that a rule of their own leads to another channel, and nowhere else.

    A channel's own name counts too, unless it is a name for rules alone: what comes to it could only go back.
    """
    assert Router(load_text(NAMED, "/x")).is_ours(address, source) is ours


@pytest.mark.parametrize("catch_all", ["$*", ".", "*.*", "[]"])
def test_catch_alls_open_no_relay(catch_all: str) -> None:
    """A rule for everybody makes nobody's domain ours, even if what it makes of an address would be."""
    text = CHANNELS.replace(
        '"." = "tcp_local"', f'"{catch_all}" = "$U%x.gw.example"\n"x.gw.example" = "test_smtp_gw"'
    )
    router = Router(load_text(text.replace('"$*" = "$U%x.gw.example"', '"$*" = "test_smtp_gw"'), "/x"))
    address = "a@[192.0.2.1]" if catch_all == "[]" else "a@elsewhere.example"
    assert router.route(address, "tcp_local").channel == "test_smtp_gw"
    assert not router.is_ours(address, "tcp_local")


def test_the_embedded_rules_end_in_the_maildir() -> None:
    """Mail to partner.example goes through the generic channel once and then lands in the Maildir."""
    router = Router(load_default("/x"))
    assert router.route("b@partner.example", "tcp_local").channel == "test_smtp_gateway"
    assert router.route("b@partner.example", "process").channel == "test_smtp_gateway"
    landed = router.route("b@partner.example", "test_smtp_in")
    assert (landed.channel, landed.address) == ("maildir", "b@partner.example")
    assert router.is_ours("b@partner.example", "test_smtp_in")
    assert router.route("ann@mail.example.org", "tcp_local").channel == "maildir"
    assert router.route("ann@elsewhere.example", "maildir").channel == "tcp_local"


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers choose the domains: however many they try, memory does not grow, and answers stay right."""
    monkeypatch.setattr(router_module, "MAX_REMEMBERED", 10)
    router = Router(load_text(CHANNELS, "/x"))
    for number in range(35):
        assert router.route(f"a@h{number}.example", "tcp_local").host == f"h{number}.example"
        assert len(router._remembered) <= 10
    assert router.route("a@h0.example", "tcp_local").host == "h0.example"
