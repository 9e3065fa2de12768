"""
The manual page of every event that the Job Controller logs, made from the source.

    python -m tests.events_page > docs/events.md
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEVELS = ("info", "warn", "error", "critical", "failure")
_HEAD = """\
# Events of the daemon's log

Every event that the Job Controller logs, by the module that says it (`source` in the JSON log, see
[accounts.md](accounts.md#the-daemons-own-log)). The sentence is what `event` has; the names in braces, and those
beside it, are its fields. A `failure` is a bug: it is logged as `critical`, with its traceback. Made from the source:

    python -m tests.events_page > docs/events.md
"""


def events(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Level, sentence and further fields of each."""
    source = path.read_text(encoding="utf-8")
    # Some choose the level first: ``say = log.info if ... else log.warn``.
    chosen = {"say": "info or warn"} if re.search(r"\bsay = log\.", source) else {}
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        level = _level(node.func, chosen)
        sentence = node.args[0]
        if level and isinstance(sentence, ast.Constant) and isinstance(sentence.value, str):
            named = {"failure", *re.findall(r"\{(\w+)", sentence.value)}
            yield (
                level,
                sentence.value,
                [key.arg for key in node.keywords if key.arg and key.arg not in named],
            )


def _level(function: ast.expr, chosen: dict[str, str]) -> str:
    """Of a logger's method; ``""`` for what is none."""
    if isinstance(function, ast.Name):
        return chosen.get(function.id, "")
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return function.attr if function.attr in LEVELS and function.value.id in ("log", "_log") else ""
    return ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for path in sorted((ROOT / "jobctl").rglob("*.py")):
        rows = sorted({(sentence, level, tuple(others)) for level, sentence, others in events(path)})
        if rows:
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            parts.append(f"\n## `{module}`\n\n| level | event | further fields |\n|---|---|---|\n")
            parts += [
                f"| {level} | {_cell(sentence)} | {', '.join(others)} |\n" for sentence, level, others in rows
            ]
    return "".join(parts)


if __name__ == "__main__":
    print(page(), end="")
