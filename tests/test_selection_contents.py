"""What ``clean`` and ``top`` see in messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.mail.entry import Lasting, QueueEntry, StoredEntry
from jobctl.mail.envelope import Envelope, Priority, Recipient, Source
from jobctl.selection.occurrences import Counter, Occurrences, Stretch, check
from jobctl.selection.parts import body, subject
from jobctl.selection.substrings import Substrings

HEADER = b"From: x\r\nSubject: =?utf-8?q?Win_=C3=A9_now?=\r\n folded\r\nTo: y\r\n\r\n"
CONTENT = HEADER + b"Buy CHEAP pills\r\nSubject: not\r\n"


def entry(sender="ann@a.example", *recipients, attempts=0):
    queued = QueueEntry(
        id="Q1",
        channel="out",
        host="b.example",
        priority=Priority.NORMAL,
        size=1,
        enqueued=0.0,
        due=0.0,
        attempts=attempts,
    )
    addresses = recipients or ("bob@b.example", "eve@b.example")
    return StoredEntry(
        entry=queued,
        message=1,
        envelope=Envelope(sender, tuple(Recipient(one) for one in addresses)),
        source=Source("in"),
        state=Lasting.QUEUED,
    )


def head(octets):
    return CONTENT[:octets]


def no_content(octets):
    raise AssertionError("the envelope decides, the content is not needed")


SUBJECTS = [
    (CONTENT, "Win é now folded"),
    (b"subject : low\r\n\r\n", "low"),
    (b"X: y\r\n\r\nSubject: body\r\n", ""),
    (b"", ""),
    (b"\r\nSubject: body\r\n", ""),
    (b"Subject:\r\n\t\r\n folded\r\nX: y", "folded"),
    (b"Subject: \xe9\xff\r\n\r\n", "éÿ"),
    (b"Subject: =?nosuch?q?x?=\r\n\r\n", "=?nosuch?q?x?="),
    (b"Subject: =?utf-8?b?#?=x\r\n\r\n", "x"),
    (b"Xsubject: no\r\nSubject: yes\r\n\r\n", "yes"),
]


@pytest.mark.parametrize(("content", "expected"), SUBJECTS)
def test_subject(content, expected):
    """The subject of the header alone, unfolded and decoded."""
    assert subject(content).replace("\t", "") == expected


@given(st.binary(max_size=200))
def test_any_content_has_a_subject(octets):
    """Whatever comes in, the look at it does not fail."""
    subject(octets)
    subject(b"Subject: " + octets + b"\r\n\r\n")
    body(octets)


MATCHES = [
    ({"from": "ANN@"}, True),
    ({"from": "bob"}, False),
    ({"to": "eve@b"}, True),
    ({"domain_to": "b.example"}, True),
    ({"domain_to": "bob"}, False),
    ({"subject": "WIN É"}, True),
    ({"content": "cheap pills"}, True),
    ({"content": "From: x"}, False),
    ({"from": "ann", "to": "eve"}, True),
    ({"from": "ann", "to": "nobody"}, False),
]


@pytest.mark.parametrize(("texts", "found"), MATCHES)
def test_match(texts, found):
    """Parts of a message that contain texts, without regard to case."""
    assert Substrings(texts).match(entry(), head) is found
    others = Substrings(texts, match_all=False).match(entry(), head)
    assert others is (found or len(texts) > 1)


def test_envelope_decides_first():
    """Content is not read where the envelope has decided."""
    assert not Substrings({"content": "x", "from": "bob"}).match(entry(), no_content)
    assert Substrings({"content": "x", "from": "ann"}, match_all=False).match(entry(), no_content)


def test_null_sender_and_untried():
    """``<>`` is the null sender; what was never tried can be left alone."""
    assert Substrings({"from": "<>"}).match(entry(""), no_content)
    assert not Substrings({"from": "<>"}).match(entry(), no_content)
    careful = Substrings({"from": "ann"}, ignore_untried=True)
    assert not careful.match(entry(), no_content)
    assert careful.match(entry(attempts=1), no_content)


@pytest.mark.parametrize(
    ("texts", "shortest", "why"),
    [
        ({}, 24, "give what"),
        ({"subject": "x" * 23}, 24, "fewer than 24"),
        ({"subject": ""}, 0, "fewer than 1"),
        ({"size": "x" * 30}, 24, "no part"),
    ],
)
def test_refused(texts, shortest, why):
    """Short texts are refused: they would find half of the queue."""
    with pytest.raises(ValueError, match=why):
        Substrings(texts).check(shortest)


def test_accepted():
    """Long enough, allowed shorter, or the null sender."""
    Substrings({"subject": "x" * 24}).check()
    Substrings({"subject": "x"}).check(1)
    Substrings({"from": "<>"}).check()


def test_counted():
    """Each part as it is asked for; recipients one by one, their domains once a message."""
    parts = {part: Stretch() for part in ("from", "to", "domain_to", "subject")}
    parts["content"] = Stretch(5, 5)
    occurrences = Occurrences(parts, ignore_untried=True)
    assert not occurrences.count(entry(), no_content)
    for _ in range(2):
        assert occurrences.count(entry(attempts=1), head)
    result = {part["part"]: part["values"] for part in occurrences.result(2, 20, 2)["parts"]}
    assert result["from"] == [{"count": 2, "value": "ann@a.example"}]
    assert [line["value"] for line in result["to"]] == ["bob@b.example", "eve@b.example"]
    assert result["domain_to"] == [{"count": 2, "value": "b.example"}]
    assert result["subject"] == [{"count": 2, "value": "Win é now folded"}]
    assert result["content"] == [{"count": 2, "value": "CHEAP"}]


def test_most_frequent():
    """The most frequent first, not more than asked for, none that is too rare."""
    counter = Counter()
    for value in "aabbbcdd":
        counter.add(value)
    assert counter.most_frequent(2, 2) == [(3, "b"), (2, "a")]
    assert counter.most_frequent(9, 2) == [(3, "b"), (2, "a"), (2, "d")]


@given(st.lists(st.integers(0, 40), max_size=300))
def test_bounded(values):
    """However many different values there are, memory is bounded and the error is as said."""
    counter, truth = Counter(most=10), {}
    for value in values:
        counter.add(str(value))
        truth[str(value)] = truth.get(str(value), 0) + 1
    found = {value: count for count, value in counter.most_frequent(100, 1)}
    assert len(found) <= 10
    for value, count in truth.items():
        assert found.get(value, 0) <= count <= found.get(value, 0) + counter.missed
    if len(truth) <= 10:
        assert counter.missed == 0


@pytest.mark.parametrize("wrong", [{"size": Stretch()}, {"to": Stretch(0)}, {"content": Stretch(1, 99_999)}])
def test_wrong_stretch(wrong):
    """Parts and numbers that will not do are refused."""
    with pytest.raises(ValueError, match=r": |no part"):
        check(wrong)
