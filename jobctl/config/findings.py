"""What is found while a configuration is checked: every problem and every note, with its place."""

import json
import re

from jobctl.config.linemap import KeyPath, LineMap
from jobctl.config.settings import Note

_BARE = re.compile(r"[A-Za-z0-9_$-]+")


class Findings:
    """
    Problems and notes of one file.

    :ivar path: The file, as messages name it.
    """

    def __init__(self, path: str, lines: LineMap) -> None:
        self.path = path
        self._lines = lines
        self._problems: list[tuple[int, str]] = []
        self._notes: list[Note] = []

    def line(self, where: KeyPath) -> int:
        """The line that gave a key, or that began the table it would stand in."""
        return self._lines.line(where)

    def lines(self) -> dict[str, int]:
        """The line of every key by its dotted name, in lower case as names are compared."""
        return {dotted(path).lower(): line for path, line in self._lines.given()}

    def problem(self, where: KeyPath, text: str) -> None:
        """The operator must change something: what is wrong and what to do."""
        line = self.line(where)
        self._problems.append((line, f"{self.path}:{line}: {dotted(where)}: {text}"))

    def problem_once(self, where: KeyPath, text: str) -> None:
        """As :meth:`problem`, for what several channels share and each finds."""
        before = len(self._problems)
        self.problem(where, text)
        if self._problems[-1] in self._problems[:before]:
            self._problems.pop()

    def note(self, where: KeyPath, text: str) -> None:
        """The operator should know, but nothing is refused."""
        self._notes.append(Note(line=self.line(where), key=dotted(where), text=text))

    @property
    def problems(self) -> list[str]:
        """Every problem in the order of lines."""
        return [text for _, text in sorted(self._problems, key=lambda found: found[0])]

    @property
    def notes(self) -> tuple[Note, ...]:
        """Every note in the order of lines."""
        return tuple(sorted(self._notes, key=lambda note: note.line))


def dotted(where: KeyPath) -> str:
    """A key path as it would be written in the file: ``channel_class."tcp_*".transport``, ``listen[0]``."""
    text = ""
    for part in where:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (
                part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False)
            )
    return text or "(file)"
