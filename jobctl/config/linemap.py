"""Where each key of a TOML text stands: tomllib gives values without lines."""

import bisect
import re
import tomllib
from collections.abc import Iterator

KeyPath = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")|' + r"'''.*?'{3,5}(?!')|" + r'"(?:\\.|[^"\\\n])*"|' + r"'[^'\n]*'",
    re.DOTALL,
)
_ATOM = re.compile(r"[^,\]}#\n]*")


class LineMap:
    """
    Lines of the keys of a text that :func:`tomllib.loads` accepts.

    A key path is a tuple of the parts of the dotted name; an element of an array
    or of an array of tables is its index.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0] + [found.end() for found in re.finditer("\n", text)]
        self._lines: dict[KeyPath, int] = {(): 1}
        self._tables: dict[KeyPath, int] = {}
        self._position = 0
        self._scan()

    def line(self, path: KeyPath) -> int:
        """Where ``path`` was given, or else the nearest thing that holds it."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def given(self) -> Iterator[tuple[KeyPath, int]]:
        """Every path that is no element of an array, with its line."""
        return ((path, line) for path, line in self._lines.items() if path and not isinstance(path[-1], int))

    def _scan(self) -> None:
        prefix: KeyPath = ()
        while self._skip(_BLANK) < len(self._text):
            start = self._position
            if self._text.startswith("[[", start):
                self._position += 2
                prefix = self._in_tables(self._key())
                self._tables[prefix] = self._tables.get(prefix, -1) + 1
                prefix += (self._tables[prefix],)
                self._position += 2
                self._note(prefix, start)
            elif self._text[start] == "[":
                self._position += 1
                prefix = self._in_tables(self._key())
                self._position += 1
                self._note(prefix, start)
            else:
                self._pair(prefix)

    def _in_tables(self, key: tuple[str, ...]) -> KeyPath:
        """A header's key, going on inside the newest element of each array of tables but the last part's."""
        path: KeyPath = ()
        for part in key[:-1]:
            path += (part,)
            if path in self._tables:
                path += (self._tables[path],)
        return (*path, key[-1])

    def _pair(self, prefix: KeyPath) -> None:
        start = self._position
        path = prefix + self._key()
        self._note(path, start)
        self._position += 1  # the equals sign
        self._value(path)

    def _key(self) -> tuple[str, ...]:
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            quoted = _STRING.match(self._text, self._position)
            if quoted is not None:
                parts.append(str(tomllib.loads(f"k = {quoted[0]}")["k"]))
                self._position = quoted.end()
            else:
                found = _BARE_KEY.match(self._text, self._position)
                assert found is not None  # tomllib accepted it
                parts.append(found[0])
                self._position = found.end()
            self._skip(_SPACE)
            if not self._text.startswith(".", self._position):
                return tuple(parts)
            self._position += 1

    def _value(self, path: KeyPath) -> None:
        self._skip(_BLANK)
        first = self._text[self._position]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            found = _STRING.match(self._text, self._position) or _ATOM.match(self._text, self._position)
            assert found is not None  # an atom may be empty
            self._position = found.end()

    def _array(self, path: KeyPath) -> None:
        self._position += 1
        index = 0
        while self._text[self._skip(_BLANK)] != "]":
            self._note((*path, index), self._position)
            self._value((*path, index))
            index += 1
            if self._text[self._skip(_BLANK)] == ",":
                self._position += 1
        self._position += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._position += 1
        while self._text[self._skip(_BLANK)] != "}":
            self._pair(path)
            if self._text[self._skip(_BLANK)] == ",":
                self._position += 1
        self._position += 1

    def _skip(self, what: re.Pattern[str]) -> int:
        found = what.match(self._text, self._position)
        assert found is not None  # both patterns match the empty text
        self._position = found.end()
        return self._position

    def _note(self, path: KeyPath, position: int) -> None:
        """Remember the line of a path and, if they are new, of the tables that hold it."""
        line = bisect.bisect_right(self._starts, position)
        for depth in range(1, len(path)):
            self._lines.setdefault(path[:depth], line)
        self._lines[path] = line
