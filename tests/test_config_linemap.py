"""Promises of the map from keys to lines."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.config.linemap import LineMap

TEXT = '''# a comment with [brackets] = "and equals"
top = 1
[plain]
a = """
not = a key
[not.a.table]
""" # closed
b.c = {d = 1, "e f" = [1,
  2]}   # spans lines
"quoted.key" = 'x # y'

[plain.sub."tcp_*"]
list = [
  "one",   # first
  # second
  "two",
  { n = 1 },
]
[[things]]
name = 'a'
[things.inner]
deep = true
[[things]]
name = 'b'
[[things.more]]
x = 1979-05-27 07:32:00
y = \'\'\'
\'\'\'\'\'
z = """a\\"""" # four quotes
w = 5
'''

LINES = [
    (("top",), 2),
    (("plain",), 3),
    (("plain", "a"), 4),
    (("plain", "b"), 8),
    (("plain", "b", "c"), 8),
    (("plain", "b", "c", "d"), 8),
    (("plain", "b", "c", "e f"), 8),
    (("plain", "b", "c", "e f", 1), 9),
    (("plain", "quoted.key"), 10),
    (("plain", "sub", "tcp_*"), 12),
    (("plain", "sub", "tcp_*", "list", 0), 14),
    (("plain", "sub", "tcp_*", "list", 1), 16),
    (("plain", "sub", "tcp_*", "list", 2, "n"), 17),
    (("things", 0, "name"), 20),
    (("things", 0, "inner", "deep"), 22),
    (("things", 1, "name"), 24),
    (("things", 1, "more", 0, "x"), 26),
    (("things", 1, "more", 0, "z"), 29),
    (("things", 1, "more", 0, "w"), 30),
]


@pytest.mark.parametrize(("path", "line"), LINES)
def test_lines_of_every_form(path: tuple[str | int, ...], line: int) -> None:
    """Tables, quoted and dotted keys, inline tables, long strings and arrays: each key has its line."""
    tomllib.loads(TEXT)
    assert LineMap(TEXT).line(path) == line


def test_what_is_not_there_has_the_line_of_what_would_hold_it() -> None:
    """A key that is missing is shown at its table, a missing table at the top."""
    lines = LineMap(TEXT)
    assert lines.line(("plain", "missing")) == 3
    assert lines.line(("nothing", "at", "all")) == 1


_KEY = st.text("ab.c\"'# =[]é", min_size=1, max_size=5)
_VALUE = st.recursive(
    st.integers() | st.booleans() | st.text("a\"'#[]{}=,\n\\", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEY, inner, max_size=3),
    max_leaves=6,
)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"""\n{escaped}"""' if "\n" in value else f'"{escaped}"'
    if isinstance(value, list):
        return "[\n" + ",\n".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    return str(value)


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(_KEY, _VALUE, min_size=1, max_size=4))
def test_any_document_is_mapped(document: dict[str, object]) -> None:
    """Whatever strings, comments and brackets hold, each key is found on the line where it begins."""
    text = ""
    expected = {}
    for key, value in document.items():
        expected[key] = text.count("\n") + 1
        text += f"{_toml(key)} = {_toml(value)} # = [x]\n"
    assert tomllib.loads(text) == document
    lines = LineMap(text)
    assert {key: lines.line((key,)) for key in document} == expected
