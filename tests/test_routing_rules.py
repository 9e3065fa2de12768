"""Promises of the rewrite rules: which of them speaks for an address, and what it makes of it."""

import pytest

from jobctl.config.loader import load_text
from jobctl.errors import ConfigError
from jobctl.routing.router import NoRoute, Router

HEAD = """\
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_local]
official_host_name = "tcp-daemon"
[channel.tcp_intranet]
official_host_name = "tcp_intranet-daemon"
additional_host_names = ["inside.example.org"]
[channel.test_smtp_gw]
official_host_name = "gateway.example.net"
daemon = "router"
[rewrite]
"""


def router(rules: str) -> Router:
    return Router(load_text(HEAD + rules, "/x"))


def went(rules: str, address: str, source: str = "tcp_local") -> tuple[str, str, str]:
    route = router(rules).route(address, source)
    return route.channel, route.host, route.address


# In the order in which the reference says they are tried for sc.cs.siroe.edu, all together in one file.
ORDER = [
    "$*",
    "sc.cs.siroe.edu",
    "*.cs.siroe.edu",
    ".cs.siroe.edu",
    "*.*.siroe.edu",
    ".siroe.edu",
    "*.*.*.edu",
    ".edu",
    "*.*.*.*",
    ".",
]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_most_specific_first(first: int) -> None:
    """The most specific pattern that fits decides, wherever it stands in the file."""
    rules = "\n".join(f'"{pattern}" = "tcp_intranet"' for pattern in reversed(ORDER[first:]))
    assert router(rules).route("ann@Sc.CS.siroe.EDU", "tcp_local").rule.pattern == ORDER[first]


def test_a_channels_own_names_go_after_exact_patterns() -> None:
    """The host names of a channel lead to it unless an exact pattern says otherwise."""
    assert went('".org" = "tcp_local"', "ann@inside.example.org")[0] == "tcp_intranet"
    assert went('"inside.example.org" = "tcp_local"', "ann@inside.example.org")[0] == "tcp_local"
    assert went("", "ann@mail.example.org") == ("l", "", "ann@mail.example.org")
    assert router("").route("a@tcp-daemon", "l").rule.line == 0


def test_a_dot_pattern_does_not_match_the_domain_itself() -> None:
    """.siroe.com is for hosts below siroe.com, not for siroe.com."""
    assert went('".siroe.com" = "tcp_intranet"\n"." = "tcp_local"', "a@siroe.com")[0] == "tcp_local"


@pytest.mark.parametrize(
    ("rules", "address", "pattern"),
    [
        ('"[192.0.2.1]" = "tcp_local"\n"[192.0.2.]" = "tcp_local"', "a@[192.0.2.1]", "[192.0.2.1]"),
        ('"[192.0.2.]" = "tcp_local"\n"[192.]" = "tcp_local"', "a@[192.0.2.1]", "[192.0.2.]"),
        ('"[192.]" = "tcp_local"\n"[]" = "tcp_local"', "a@[192.0.2.1]", "[192.]"),
        ('"[]" = "tcp_local"\n"." = "tcp_local"', "a@[IPv6:2001:db8::1]", "[]"),
        ('"." = "tcp_local"', "a@[192.0.2.1]", "."),
    ],
)
def test_domain_literals(rules: str, address: str, pattern: str) -> None:
    """Addresses in brackets have patterns of their own, by their beginning, or [] for all."""
    assert router(rules).route(address, "l").rule.pattern == pattern


@pytest.mark.parametrize(
    ("rule", "address", "result"),
    [
        ('"x.example" = "tcp_local"', "Ann@X.Example", ("tcp_local", "x.example", "Ann@X.Example")),
        ('"x.example" = "$U%$D@tcp-daemon"', "Ann@X.Example", ("tcp_local", "x.example", "Ann@X.Example")),
        (
            '"x.example" = "$U%new.example@TCP-daemon"',
            "ann@x.example",
            ("tcp_local", "new.example", "ann@new.example"),
        ),
        (
            '"x.example" = "$U@inside.example.org"',
            "a@x.example",
            ("tcp_intranet", "inside.example.org", "a@inside.example.org"),
        ),
        (
            '".example" = "$U%$H.sub$D@tcp-daemon"',
            "a@x.y.example",
            ("tcp_local", "x.y.sub.example", "a@x.y.sub.example"),
        ),
        (
            '"*.example" = "$U%$H.sub$D@tcp-daemon"',
            "a@x.example",
            ("tcp_local", "x.sub.example", "a@x.sub.example"),
        ),
        ('"." = "$U%$H$D@tcp-daemon"', "a@x.y.example", ("tcp_local", "x.y.example", "a@x.y.example")),
        ('"[]" = "$U%[$L]@tcp-daemon"', "a@[192.0.2.1]", ("tcp_local", "[192.0.2.1]", "a@[192.0.2.1]")),
        (
            '"[192.0.]" = "$U%h-$L.example@tcp-daemon"',
            "a@[192.0.2.1]",
            ("tcp_local", "h-2.1.example", "a@h-2.1.example"),
        ),
        (
            '"x.example" = "$U$%x$@y$$z%y.example@tcp-daemon"',
            "a@x.example",
            ("tcp_local", "y.example", "a%x@y$z@y.example"),
        ),
        (
            '"x.example" = "list-$U%$U.example@tcp-daemon"',
            "a@x.example",
            ("tcp_local", "a.example", "list-a@a.example"),
        ),
        ('"x.example" = "gateway.example.net"', "a@x.example", ("test_smtp_gw", "", "a@x.example")),
        ('"x.example" = "tcp_local$E$F$A"', "a@x.example", ("tcp_local", "x.example", "a@x.example")),
        (
            '"bücher.example" = "tcp_local"',
            "a@BÜCHER.example",
            ("tcp_local", "xn--bcher-kva.example", "a@BÜCHER.example"),
        ),
        ('"x.example" = "tcp_local"', '"a@b"@x.example', ("tcp_local", "x.example", '"a@b"@x.example')),
    ],
)
def test_templates(rule: str, address: str, result: tuple[str, str, str]) -> None:
    """A template routes to a channel by its name or host name and makes the address that goes on."""
    assert went(rule, address) == result


def test_two_addresses_of_a_domain_are_kept_apart() -> None:
    """What a rule makes of one local part is never used for another."""
    found = router(
        '"x.example" = "$U%$U.example@tcp-daemon"\n"y.example" = "all%y.example@tcp-daemon"\n'
        '"z.example" = "tcp_local"'
    )
    assert found.route("a@x.example", "l").host == "a.example"
    assert found.route("b@x.example", "l").host == "b.example"
    assert found.route("all@y.example", "l").address == "all@y.example"
    assert found.route("ann@y.example", "l").address == "all@y.example"
    assert found.route("a@z.example", "l").address == "a@z.example"
    assert found.route("b@z.example", "l").address == "b@z.example"


def test_rewriting_again() -> None:
    """A%B sends the new address through the rules again; the steps tell the way."""
    rules = '"old.example" = "$U%new.example"\n"new.example" = "tcp_intranet"'
    route = router(rules).route("a@old.example", "tcp_local")
    assert (route.channel, route.address) == ("tcp_intranet", "a@new.example")
    assert [step.split(": ")[1] for step in route.steps] == ["rewritten to a@new.example", "applies"]


def test_loops_end() -> None:
    """Rules that send an address in circles are told as such; nothing hangs."""
    with pytest.raises(NoRoute, match="loop") as caught:
        went('"a.example" = "$U%b.example"\n"b.example" = "$U%a.example"', "x@a.example")
    assert caught.value.status == "5.4.6"


def test_rules_for_source_channels() -> None:
    """$M is for mail from a channel, $N for mail not from it; else the next rule is asked."""
    rules = '"x.example" = ["tcp_intranet$Mtest_smtp_gw$Mtcp_local", "tcp_local$Nl$Nprocess", "test_smtp_gw"]'
    found = router(rules)
    assert found.route("a@x.example", "test_smtp_gw").channel == "tcp_intranet"
    assert found.route("a@x.example", "TCP_LOCAL").channel == "tcp_intranet"
    assert found.route("a@x.example", "tcp_intranet").channel == "tcp_local"
    route = found.route("a@x.example", "process")
    assert (route.channel, route.next_hop) == ("test_smtp_gw", "gateway.example.net")
    assert ["not from process" in route.steps[0], "is not for mail from process" in route.steps[1]] == [
        True,
        True,
    ]


def test_less_specific_patterns_follow() -> None:
    """When no template of a pattern applies, less specific patterns are tried."""
    rules = '"x.example" = "tcp_intranet$Ml"\n".example" = "tcp_local$B"\n"." = "test_smtp_gw"'
    assert went(rules, "a@x.example")[0] == "test_smtp_gw"


def test_an_error_text_ends_the_search() -> None:
    """$? refuses what its rule does not apply to, with a text for the sender."""
    rules = '"x.example" = "tcp_intranet$Ml$?Only$ from$ inside"\n"." = "tcp_local"'
    with pytest.raises(NoRoute) as caught:
        went(rules, "a@x.example")
    assert (caught.value.text, caught.value.status) == ("Only from inside", "5.1.2")
    assert went(rules, "a@x.example", "l")[0] == "tcp_intranet"


@pytest.mark.parametrize(
    ("rules", "address", "text", "status"),
    [
        ('"x.example" = "tcp_local"', "a@y.example", "No route to host y.example", "5.1.2"),
        ('"x.example" = "$U%$H@tcp-daemon"', "a@x.example", "make a@ of host", "5.1.2"),
        ("", "@x.example", "local part", "5.1.3"),
        ("", "", "local part", "5.1.3"),
    ],
)
def test_no_route(rules: str, address: str, text: str, status: str) -> None:
    """An address that leads nowhere is refused for good, with status and reason."""
    with pytest.raises(NoRoute) as caught:
        went(rules, address)
    assert text in caught.value.text
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ('"x" = "tcp_locl"', "did you mean tcp_local?"),
        ('"x" = "$U%$D@tcp-demon"', "did you mean tcp-daemon?"),
        ('"x" = ["tcp_local", "tcp_locl"]', "rewrite.x[1]: 'tcp_locl'"),
        ('"x" = []', "has no template"),
        ('"x" = 5', "must be a template"),
        ('"x" = ""', "empty part"),
        ('"x" = "@tcp-daemon"', "empty part"),
        ('"x" = "a@b@c@d"', "source route"),
        ('"x" = "a@b%c"', "is none of a channel"),
        ('"x" = "$U@$D"', "named in plain text"),
        ('"x" = "tcp_local$M"', "needs a channel's name"),
        ('"x" = "tcp_local$Mnone"', "channel 'none' is not configured"),
        ('"x" = "tcp_local$?"', "needs a text"),
        ('"x" = "tcp_local${INTERNAL_IP,$L}"', "there is no table INTERNAL_IP in [mapping]"),
        ('"x" = "tcp_local${INTERNAL_IP}"', "needs a table, a comma"),
        ('"x" = "tcp_local${INTERNAL_IP,$L"', "needs a table, a comma"),
        ('"x" = "tcp_local${A,$E}"', "$E cannot be used"),
        ('"x" = "tcp_local$]ldap:[x"', "no LDAP"),
        ('"x" = "tcp_local$(key)"', "no general database"),
        ('"x" = "tcp_local$[img,fn,arg]"', "no site routines"),
        ('"x" = "$U%$&0.x@tcp-daemon"', "host components"),
        ('"x" = "tcp_local$P"', "percent-hack"),
        ('"x" = "tcp_local$Ttag"', "no tags"),
        ('"x" = "tcp_local$y"', "write $$"),
        ('"x" = "tcp_local$"', "write $$"),
        ('"$%" = "tcp_local"', "percent-hack"),
        ('"</x/y" = "tcp_local"', "cannot be included"),
        ('"a@b" = "tcp_local"', "is not a pattern"),
        ('"a b" = "tcp_local"', "is not a pattern"),
    ],
)
def test_mistakes_in_rules_are_told_at_load(rule: str, word: str) -> None:
    """A rule that could not work is refused when it is read, with its line and the reason."""
    with pytest.raises(ConfigError) as caught:
        load_text(HEAD + rule, "/x")
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith("/x:12: rewrite.")
    assert word in caught.value.problems[0]


def test_sequences_without_effect_are_noted() -> None:
    """What other systems act on and this one does not is said, not ignored."""
    settings = load_text(HEAD + '"x" = "tcp_local$Qtcp_local"\n"y" = "tcp_local$R"\n', "/x")
    assert [(note.line, "does not act" in note.text) for note in settings.notes] == [(12, True), (13, True)]
