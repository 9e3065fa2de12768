"""The wildcards of mapping tables."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.mapping import patterns
from jobctl.mapping.patterns import read

MATCHES = [
    ("*@*.example.com", "bob@mail.example.com", ("bob", "mail")),
    ("*@*.example.com", "bob@example.com", None),
    ("a%c", "abc", ("b",)),
    ("a%c", "ac", None),
    ("A*C", "abbc", ("bb",)),
    ("*.*", "a.b.c", ("a.b", "c")),
    ("$_*.*", "a.b.c", ("a", "b.c")),
    ("$[ax1]*@*.xyz.com", "xx11aa@sys1.xyz.com", ("xx11aa", "sys1")),
    ("$[a-c]*d", "abcd", ("abc",)),
    ("$[^a-c]%", "d", ("d",)),
    ("$[^a-c]%", "b", None),
    ("$D*-$A*", "12-ab", ("12", "ab")),
    ("$D*", "1a", None),
    ("$H%$X%$O%$B%", "fA71", ("f", "A", "7", "1")),
    ("$S*$T%x", "a_$ x", ("a_$", " ")),
    ("*=$0*", "ab=ab", ("ab",)),
    ("*=$0*", "ab=ac", None),
    ("$@*-*", "a-b", ()),
    ("$@*-$^*", "a-b", ("b",)),
    ("$%$*$$", "%*$", ()),
    ("$D", "d", ()),
    ("a.b", "axb", None),
    ("", "", ()),
    ("*", "two\nlines", ("two\nlines",)),
    ("x$", "x$", ()),
    (
        "TCP|*|*|$(192.0.2.0/24)|*",
        "TCP|127.0.0.1|25|192.0.2.77|4001",
        ("127.0.0.1", "25", "192.0.2.77", "4001"),
    ),
    ("TCP|*|*|$(192.0.2.0/24)|*", "TCP|127.0.0.1|25|192.0.3.77|4001", None),
    ("${2001:db8::/32}", "2001:db8::1", ("2001:db8::1",)),
    ("$(10.0.0.0/8)", "10", None),
]


@pytest.mark.parametrize(("pattern", "text", "took"), MATCHES)
def test_match(pattern, text, took):
    """What matches, and the characters that each wildcard took."""
    assert read(pattern).match(text) == took


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("$[abc", "not closed"),
        ("$[abc]x", "neither"),
        ("$_x", "neither"),
        ("x$_", "neither"),
        ("$0*", "does not come before"),
        ("$[z-a]*", "bad character range"),
        ("x" * 1001, "longer"),
        ("$(here)", "no network"),
        ("$(2001:db8::/32)", "IPv4 network stands"),
        ("$(10.0.0.0/8", "not closed"),
    ],
)
def test_wrong(pattern, why):
    """What is no pattern is refused with the reason."""
    with pytest.raises(ValueError, match=why):
        read(pattern)


def test_elements():
    """The parts are told in words."""
    assert read("$_*@%.com$@*$0*").elements == (
        "0: *, as little as possible",
        '"@"',
        "1: %",
        '".com"',
        "*",
        "what 0 took",
    )


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_pattern(pattern, text):
    """Whatever is typed is a pattern or is refused; a pattern of ordinary characters matches itself."""
    with contextlib.suppress(ValueError):
        read(pattern).match(text)
    plain = "".join("$" + c if c in "%*$" else c for c in text)
    assert read(plain).match(text) == ()


def test_no_text_takes_for_ever():
    """A peer cannot choose a name that keeps a processor busy: many wildcards against a long text of one letter."""
    assert read("*a*a*a*a*a*a*a*b").match("a" * 2000) is None
    assert read("*a*a*a*a*=$0*b").match("a" * 2000) is None


PARTS = {
    "*": "(.*)",
    "%": "(.)",
    "$_*": "(.*?)",
    "$D*": "([0-9]*)",
    "$[ab]*": "([ab]*)",
    "$[^b]%": "([^b])",
    "$@*$^": "(?:.*)",
    "a": "a",
    "b": "b",
    "1": "1",
}


@given(st.lists(st.sampled_from(sorted(PARTS)), max_size=8), st.text("ab1", max_size=12))
def test_wildcards_take_what_those_of_regular_expressions_take(parts, text):
    """As many as possible, or as few, from left to right: what is remembered on the way changes no match."""
    wanted = re.fullmatch("".join(PARTS[part] for part in parts), text, re.DOTALL)
    assert read("".join(parts)).match(text) == (wanted.groups() if wanted else None)


@pytest.mark.parametrize("pattern", ["*a*a*a*a*a*b", "$A*a$A*a$A*a$A*a$A*b", "$_*a$_*a$_*a$_*a$_*b"])
def test_the_cost_grows_with_the_text_not_with_its_square(pattern, monkeypatch):
    """Four times the text is about four times the work, where it once was sixteen times."""
    looks = 0
    rest = patterns._Search.rest

    def counted(self, *given):
        nonlocal looks
        looks += 1
        return rest(self, *given)

    monkeypatch.setattr(patterns._Search, "rest", counted)
    found = []
    for size in (200, 800):
        looks = 0
        assert read(pattern).match("a" * size) is None
        found.append(looks)
    assert found[1] < 5 * found[0]


def test_a_pattern_of_too_many_parts_is_refused():
    """It would need more of the stack than there is when a peer's text comes."""
    assert read("%" * 100).match("x" * 100) is not None
    with pytest.raises(ValueError, match="more than 100 parts"):
        read("%" * 101)


def test_back_references_cost_no_look_at_each_letter(monkeypatch):
    """What a wildcard took is brought to lower case once, not whenever it is referred to."""
    lowered = 0

    def low(letter, real=patterns._low):
        nonlocal lowered
        lowered += 1
        return real(letter)

    monkeypatch.setattr(patterns, "_low", low)
    # The letter whose lower case is two has each letter looked at.
    text = "\u0130" + "aB" * 1000
    assert patterns.read("*$_*$0*x").match(text) is None
    assert lowered <= len(text) + 10
