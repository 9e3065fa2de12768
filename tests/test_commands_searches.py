"""``qm clean``, ``qm top``, ``qclean`` and ``qtop``, in both spellings, against made-up operations."""

import io
import json
import sys

import pytest

from jobctl.commands import exits, qm_searches
from tests.test_commands_main import daemon, jobctl  # noqa: F401

TEXT = "make money fast with our offer"


def test_clean(jobctl):  # noqa: F811
    """Messages found are held and shown, harmless on a terminal; what could not be done is told."""
    for words in (("qm", "clean", "--subject", TEXT), ("qclean", f"-subject={TEXT}", "tcp_local")):
        status, out, err = jobctl(*words)
        assert (status, err) == (0, [])
        assert out[0] == "held a1  tcp_local  ann@a.example  bob@b.example +1  Cheap?"
        assert out[-1] == "4 found, 4 held"
    status, out, err = jobctl("qclean", "-noverbose", "-content=busy", "-min_length=1")
    assert status == exits.TEMPORARY and out == ["4 found, 3 held"]
    assert err == ["jobctl: h1: a job has it"]
    rows = json.loads("".join(jobctl("qclean", "--json", "-from=<>", "-to=" + TEXT)[1]))
    assert [row["id"] for row in rows] == ["a1", "a2", "b1", "h1"]


def test_clean_asks_before_it_deletes(jobctl, monkeypatch):  # noqa: F811
    """To delete, the number and some examples are shown first; where nobody can be asked it must be said."""
    words = ("qm", "clean", "-delete", f"-subject={TEXT}")
    status, _, err = jobctl(*words)
    assert status == exits.USAGE and len(err) == 5
    assert "delete 4 messages: say -noconfirm" in err[-1]
    assert jobctl(*words, "-noconfirm")[1][-1] == "4 found, 4 deleted"
    monkeypatch.setattr(sys, "stdin", type("Terminal", (io.StringIO,), {"isatty": lambda self: True})())
    for answer, last in (("n", []), ("y", ["4 found, 4 deleted"])):
        monkeypatch.setattr("builtins.input", lambda prompt, answer=answer: answer)
        assert jobctl(*words)[1][-1:] == last


def test_top(jobctl):  # noqa: F811
    """Counts with values, under a heading; approximate counts say so."""
    status, out, _ = jobctl("qtop")
    assert status == 0
    assert out[:3] == [
        "Most frequent subject of 20 messages, all channels",
        "        3  Cheap?[2J pills",
        "        2  (empty)",
    ]
    assert out[-1] == "           nothing is there 2 times"
    out = jobctl("qm", "top", "-from", "-to", "-held", "-top=5", "-min_count=3", "tcp_local")[1]
    assert out[0] == "Most frequent from of 5 held messages, channel tcp_local"
    assert "        2  <>" in out
    assert "           (counts may be up to 7 too low: too many different values)" in out
    assert json.loads("".join(jobctl("qtop", "--json")[1]))["messages"] == 20


RANGES = [
    ("", {"start": 1, "length": 2**31 - 1}),
    ("(START=3,LENGTH=20)", {"start": 3, "length": 20}),
    ("start=3,length=20", {"start": 3, "length": 20}),
    ("(START=3)", {"start": 3, "length": 2**31 - 1}),
    ("(LENGTH=9)", {"start": 1, "length": 9}),
    ("3,20", {"start": 3, "length": 20}),
    ("3:20", {"start": 3, "length": 20}),
]


@pytest.mark.parametrize(("text", "stretch"), RANGES)
def test_ranges(text, stretch):
    """A range in the old form and shorter."""
    assert qm_searches.stretch("to", text) == stretch


def test_defaults_of_content():
    """Of a body the first 256 characters count."""
    assert qm_searches.stretch("content", "") == {"start": 1, "length": 256}


TROUBLE = [
    (("qm", "clean"), exits.USAGE, "give what is to be found"),
    (("qclean", "-subject=short"), exits.USAGE, "fewer than 24"),
    (("qclean", "-hold", "-delete", f"-to={TEXT}"), exits.USAGE, "not allowed"),
    (("qclean", "-directory_tree", f"-to={TEXT}"), exits.USAGE, "leave -directory_tree out"),
    (("qclean", "-match=xor", f"-to={TEXT}"), exits.USAGE, "xor"),
    (("qtop", "-subject=(START=x)"), exits.USAGE, "is no range"),
    (("qtop", "-top=0"), exits.USAGE, "at least 1"),
    (("qtop", "-min_count=x"), exits.USAGE, "--help"),
]


@pytest.mark.parametrize(("words", "status", "says"), TROUBLE)
def test_trouble(jobctl, words, status, says):  # noqa: F811
    """One line that says what to do."""
    found, out, err = jobctl(*words)
    assert (found, out, len(err)) == (status, [], 1)
    assert says in err[0]
