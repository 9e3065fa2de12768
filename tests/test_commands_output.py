"""Tables on a terminal."""

import io
import re
import sys

import pytest

from jobctl.commands.output import Column, count, text, write_table

COLUMNS = (
    Column("Channel", "channel"),
    *(Column(name, name.lower(), count, right=True) for name in ("Messages", "Ready", "Active", "Delayed")),
    Column("Oldest", "oldest"),
    Column("Last reply", "reply", text),
)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_nothing_of_a_table_is_cut(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Channels whose names begin alike stay apart on any terminal, and all of a reply is there."""
    terminal = type("Terminal", (io.StringIO,), {"isatty": lambda self: True})()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    row = {"messages": 1, "ready": 0, "active": 0, "delayed": 1, "oldest": "25-Nov-2026 23:08:32"}
    write_table(
        COLUMNS,
        [{**row, "channel": name, "reply": "451 4.7.1 greylisted"} for name in ("tcp_dead", "tcp_deferred")],
    )
    shown = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    lines = shown.splitlines()
    assert "…" not in shown
    assert [line.split()[0] for line in lines if " tcp_de" in line] == ["tcp_dead", "tcp_deferred"]
    assert all(len(line) <= max(width, 70) for line in lines)
    assert shown.count("25-Nov-2026") == shown.count("greylisted") == 2
