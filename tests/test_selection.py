"""Promises of the selector language: what is meant by it, and what is said of what is not."""

import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.mail.envelope import Priority
from jobctl.selection import quantities
from jobctl.selection.candidate import Candidate, codes, words
from jobctl.selection.errors import SelectorError
from jobctl.selection.fields import FIELDS
from jobctl.selection.manual import selectors_page
from jobctl.selection.parser import DEEPEST, LONGEST, parse
from jobctl.selection.selector import selector

PAGE = Path(__file__).resolve().parent.parent / "docs" / "selectors.md"
NOW = 1_000_000.0
MESSAGE = Candidate(
    id="Q1A",
    channel="tcp_local",
    host="mx.example.com",
    state="delayed",
    sender="Ann@Example.ORG",
    recipients=("bob@example.com", "carl@büro.example"),
    size=20_000,
    priority=Priority.URGENT,
    attempts=3,
    enqueued=NOW - 7200,
    due=NOW + 300,
    last_reply="451 4.7.1 Greylisted, come back in 5 minutes",
    reason="",
    source="tcp_intranet",
    transport="TCP|192.0.2.1|25|198.51.100.7|4711",
    user="ann",
)

MEANT = """
    id=q1a
    id in (Q2, Q1A)
    id!=Q2
    channel=tcp_*
    channel = TCP_LOCAL
    channel!=tcp_l
    host~example
    host=*.example.???
    state=delayed
    state in (held, delayed)
    state=queued
    state!=held
    sender=ann@example.org
    from=<ann@example.org>
    sender!=<>
    sender.domain=example.org
    sender.local=ann
    rcpt=carl@*
    to=bob@example.com
    rcpt.domain=BÜRO.example
    rcpt.domain=xn--bro-hoa.example
    rcpt.domain!=example.net
    rcpt.domain~example
    rcpt.count=2
    size>19KB
    size>=20000
    size<20blocks
    size!=20001
    priority=urgent
    priority in (normal, urgent)
    attempts<5 and attempts>=3
    age>1h
    age>=PT2H
    age<1d12h
    due<10m
    due>299s
    last.code=451
    last.code=4.7.1
    last.code=4.7.*
    last.code~4.7
    last.code~"4.7"
    last.code~4
    last.code~45
    last.code!=450
    last.code!~5
    last.code>=450
    last.code<500
    last.text~greylist
    last.text~"come*5 minutes"
    last.text!~"451"
    last.text="Greylisted, come back in ? minutes"
    reason=""
    source=tcp_intranet
    source.ip=198.51.100.*
    user=ann
    age>1h and not (attempts>5 or sender=<>)
    attempts>5 or age>1h and size>1
    NOT attempts>5 AND age>1H
"""
OTHERS = """
    id=Q1
    channel=tcp
    channel in (l, tcp_local2)
    host=example.com
    state=held
    state!=queued
    sender=ann
    sender=<>
    sender.domain=example
    rcpt!=bob@example.com
    rcpt!~bob
    rcpt.domain!=example.com
    size>20KB
    size=20KB
    priority=normal
    attempts>3
    age>2h
    due<=0
    last.code=4.7
    last.code~4.71
    last.code~7.1
    last.code~5
    last.code>=500
    last.code~""
    last.text~451
    last.text=greylist
    user=""
    attempts>5 or age<1h
    (attempts=3 or age>1h) and size>1MB
"""


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


@pytest.mark.parametrize("text", lines(MEANT))
def test_what_is_meant(text: str) -> None:
    """A message is found by whatever is true of it."""
    assert selector(text).matches(MESSAGE, NOW)


@pytest.mark.parametrize("text", lines(OTHERS))
def test_what_is_not_meant(text: str) -> None:
    """A message is never found, and so never changed, by what is not true of it."""
    assert not selector(text).matches(MESSAGE, NOW)


@pytest.mark.parametrize("text", lines(MEANT) + lines(OTHERS))
def test_written_again_it_means_the_same(text: str) -> None:
    """A selector that is kept and shown again reads as what it was."""
    again = str(parse(text))
    assert str(parse(again)) == again
    assert selector(again).matches(MESSAGE, NOW) is selector(text).matches(MESSAGE, NOW)


@pytest.mark.parametrize(
    ("text", "column", "told"),
    [
        ("", 1, "expected a test such as"),
        ("age>1h and", 11, "expected the name of a field"),
        ("rcpt.domian=example.com", 1, "did you mean rcpt.domain?"),
        ("age>1h and chanel=l", 12, "did you mean channel?"),
        ("flavour=sweet", 1, "there are id, channel, host"),
        ("rcpt.domain", 12, "expected how to compare rcpt.domain: = != ~ !~ or in"),
        ("age=1h", 4, "age cannot be compared with =, but with < <= > or >="),
        ("sender>ann", 7, "but with = != ~ !~ or in"),
        ("age>60", 5, "'60' is no duration"),
        ("age>P", 5, "PT5M"),
        ("size>1TB", 6, "'1TB' is no size"),
        ("attempts<many", 10, "'many' is no number"),
        ("state=hold", 7, "did you mean held?"),
        ("priority=low", 10, "none of urgent, normal"),
        ("last.code~greylist", 11, "last.text has the words"),
        ("last.code>4.7", 11, "no reply code such as 451"),
        ("rcpt.domain=bob@example.com", 13, "a domain is what stands after the @"),
        ("rcpt.domain=", 13, "expected a value for rcpt.domain such as example.com"),
        ('sender="ann', 8, "the quote is not closed"),
        ("(age>1h", 8, "the ) for the bracket in column 1"),
        ("age>1h)", 7, "expected and, or, or the end"),
        ("age>1h && size>1", 8, 'did you mean "and"?'),
        ("id==Q1", 3, 'did you mean "="?'),
        ("id in Q1", 7, "id in (Q1A, ...)"),
        ("id in (Q1 Q2)", 11, "expected a comma"),
        ("state in (held, foo)", 17, "'foo' is none of"),
        ("id=Q1\0", 6, "control characters"),
        ("(" * (DEEPEST + 2) + "age>1h", DEEPEST + 2, "deep"),
        ("not " * (DEEPEST + 2) + "age>1h", 4 * DEEPEST + 5, "deep"),
        ("age>1h or " * LONGEST, LONGEST + 1, "at most"),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, column: int, told: str) -> None:
    """Whoever errs learns where, and what would be right, in one line."""
    with pytest.raises(SelectorError) as caught:
        selector(text)
    assert caught.value.position + 1 == column
    assert told in str(caught.value)
    assert f"column {column}" in str(caught.value)
    assert "\n" not in str(caught.value)


PIECES = st.sampled_from([*lines(MEANT), *'()<>=~!\\"*,', "and", "or", "not", "in"])


@given(st.text(max_size=40) | st.lists(PIECES, max_size=6).map(" ".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text whatever does anything but select or be refused with its place."""
    try:
        found = selector(text)
    except SelectorError as why:
        assert 0 <= why.position <= len(text)
    else:
        assert isinstance(found.matches(MESSAGE, NOW), bool)


@given(st.text(alphabet="ab*?", min_size=1, max_size=8), st.text(alphabet="ab", max_size=8))
def test_wildcards(pattern: str, text: str) -> None:
    """``*`` and ``?`` mean what they mean in a shell."""
    message = Candidate(reason=text)
    expected = re.fullmatch(pattern.replace("*", ".*").replace("?", "."), text) is not None
    assert selector(f'reason="{pattern}"').matches(message, NOW) is expected
    within = re.search(pattern.replace("*", ".*").replace("?", "."), text) is not None
    assert selector(f'reason~"{pattern}"').matches(message, NOW) is within


@given(st.text(alphabet='ab*?\\" ', max_size=8))
def test_every_text_can_be_asked_for(text: str) -> None:
    """Behind a backslash every character stands for itself."""
    quoted = "".join("\\" + c for c in text)
    assert selector(f'reason="{quoted}"').matches(Candidate(reason=text), NOW)
    assert str(selector(f'reason="{quoted}"').expression) == str(parse(str(parse(f'reason="{quoted}"'))))
    assert not selector(f'reason="{quoted}"').matches(Candidate(reason=text + "a"), NOW)


def test_no_pattern_takes_long() -> None:
    """A pattern made to take for ever is answered at once, so nobody can stop the mail with one."""
    found = selector('last.text~"' + "a*" * 300 + 'b"')
    message = Candidate(last_reply="a" * 4000)
    # A matcher that backtracks would be at it until the test is ended.
    assert not found.matches(message, NOW)


NARROWED = [
    ("channel=tcp_local and age>1h", {"channels": {"tcp_local"}}),
    ("(channel=a or channel=b) and state=held", {"channels": {"a", "b"}, "held": True}),
    ("channel in (a, b) and channel=c", {"channels": {"c"}}),
    ("channel=a or age>1h", {}),
    ("not channel=a", {}),
    ("not (channel!=a or state=held)", {"channels": {"a"}, "held": False}),
    ("channel!=a", {}),
    ("channel~a", {}),
    ("id=q1a", {"ids": {"Q1A"}}),
    ("id in (Q1, Q2) and id=Q2", {"ids": {"Q2"}}),
    ("id=Q*", {}),
    ("host=MX.example.com or host=b", {"hosts": {"mx.example.com", "b"}}),
    ("state=queued", {"held": False}),
    ("state!=held", {"held": False}),
    ("not state!=held", {"held": True}),
    ("state in (held, ready)", {}),
    ("state=held or state=ready", {}),
]


@pytest.mark.parametrize(("text", "expected"), NARROWED)
def test_where_to_look(text: str, expected: dict[str, object]) -> None:
    """A list of one channel, host, state or id reads no others."""
    found = selector(text).narrowed
    assert {
        k: v for k in ("ids", "channels", "hosts", "held") if (v := getattr(found, k)) is not None
    } == expected


TESTS = st.sampled_from(
    ["channel=a", "channel!=a", "channel=?", "channel in (a, b)", "host=x", "host!=x", "id=QA", "id in (QA, QB)",
     "id!=QA", "state=held", "state!=held", "state=ready", "state in (held, ready)", "state=queued", "age>1h"]
)  # fmt: skip
TREES = st.recursive(
    TESTS,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({' '.join(t)})")
        | inner.map(lambda text: f"not ({text})")
    ),
    max_leaves=6,
)


@given(
    TREES, st.sampled_from("abcd"), st.sampled_from("xy"), st.sampled_from(["QA", "QB", "QC"]),
    st.sampled_from(["held", "ready", "active"]),
)  # fmt: skip
def test_narrowing_never_loses_a_message(text: str, channel: str, host: str, number: str, state: str) -> None:
    """Whatever is meant lies where the store is told to look."""
    found = selector(text)
    if found.matches(Candidate(id=number, channel=channel, host=host, state=state, enqueued=NOW), NOW):
        where = found.narrowed
        assert where.ids is None or number in where.ids
        assert where.meant_channels([channel]) == [channel]
        assert where.hosts is None or host in where.hosts
        assert where.held in (None, state == "held")


@pytest.mark.parametrize(
    ("reply", "code", "status", "text"),
    [
        ("451 4.7.1 come back", "451", "4.7.1", "come back"),
        ("4.4.1 no route", "", "4.4.1", "no route"),
        ("550 no such user", "550", "", "no such user"),
        ("421", "421", "", ""),
        ("421-4.3.2 a", "421", "4.3.2", "a"),
        ("connection refused", "", "", "connection refused"),
        ("192.0.2.1 refused us", "", "", "192.0.2.1 refused us"),
        ("4.7.11.2 odd", "", "", "4.7.11.2 odd"),
        ("", "", "", ""),
    ],
)
def test_codes_of_replies(reply: str, code: str, status: str, text: str) -> None:
    """Reply code and enhanced status are found whether one, both or none is there."""
    assert codes(reply) == (code, status)
    assert words(reply) == text


def test_no_reply_fits_no_code() -> None:
    """What was never tried is not found by any code, only by the contrary."""
    message = Candidate()
    assert not any(
        selector(f"last.code{rest}").matches(message, NOW) for rest in ("~4", "=*", "<999", ">100")
    )
    assert selector("last.code!~4").matches(message, NOW)


def test_quantities() -> None:
    """Ages and sizes are read in all the forms that the manual names."""
    seconds = {"90s": 90, "5m": 300, "1h": 3600, "2D": 172800, "1w": 604800, "1d12h": 129600, "PT1H": 3600,
               "1.5h": 5400, "0": 0}  # fmt: skip
    assert {text: quantities.duration(text) for text in seconds} == seconds
    sizes = {"500": 500, "10KB": 10240, "10k": 10240, "1.5MB": 1572864, "2GB": 2 * 1024**3, "20blocks": 20480,
             "7 octets": 7}  # fmt: skip
    assert {text: quantities.octets(text) for text in sizes} == sizes


def test_the_manual_is_the_table() -> None:
    """docs/selectors.md names every field, and all its examples work."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == selectors_page(), "make it anew: the command stands at its top"
    examples = re.search(r"```selectors\n(.*?)```", page, re.DOTALL)
    assert examples is not None
    for example in examples[1].splitlines():
        selector(example)
    told = re.search(r"`(selector, column .*)`", page)
    assert told is not None
    with pytest.raises(SelectorError, match=re.escape(told[1])):
        selector("rcpt.domian=x")
    for field in FIELDS:
        for op in field.kind.operators:
            value = "451" if field.name == "last.code" and op in "<=>=" else field.kind.example
            selector(f"{field.name}{op}{value}")
            assert not set(string.whitespace) & set(value)
