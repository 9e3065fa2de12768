"""Lists for eyes and for programs."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from jobctl.commands import exits

if TYPE_CHECKING:
    from jobctl.commands.context import Context

# What could move the cursor, clear the screen or worse: C0, DEL, C1; and what turns text around.
_HARMFUL = dict.fromkeys(
    (*range(0x20), 0x7F, *range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "?"
)

# What rows are told apart by, and what is typed again: never cut, however narrow the terminal.
_NAMES = frozenset({"id", "channel", "number", "rule", "job", "key"})
# Other texts may be folded to so many characters: a date takes two lines.
_LEAST = 11


class Column(msgspec.Struct, frozen=True):
    """
    One column of a table.

    :ivar key: Of the row.
    :ivar show: Value to text.
    :ivar right: Aligned right, as numbers are.
    """

    heading: str
    key: str
    show: Callable[[Any], str] = str
    right: bool = False


def printable(text: str) -> str:
    """Text that came from elsewhere, without what would work on a terminal."""
    return text.translate(_HARMFUL)


def write(text: str) -> None:
    """A line on standard output."""
    sys.stdout.write(text + "\n")


def write_json(value: Any) -> None:
    """A value for programs; of a list one item a line."""
    if not isinstance(value, list):
        write(msgspec.json.encode(value).decode())
        return
    lines = ",\n".join(msgspec.json.encode(item).decode() for item in value)
    write(f"[\n{lines}\n]" if lines else "[]")


def show_rows(
    context: "Context", columns: Sequence[Column], rows: list[dict[str, Any]], none: str | None = None
) -> int:
    """
    What a command found, as JSON where that was asked for, else as a table.

    :param none: Said in place of a table without rows.
    :return: The exit status.
    """
    if context.json:
        write_json(rows)
    elif rows or none is None:
        write_table(columns, rows)
    else:
        write(none)
    return exits.OK


def write_table(
    columns: Sequence[Column],
    rows: Sequence[dict[str, Any]],
    trailer: Sequence[str] = (),
    heading: bool = True,
) -> None:
    """
    A table: with colours and lines on a terminal, else columns that ``awk`` can cut.

    :param trailer: Texts under the columns, for totals.
    """
    cells = [[printable(column.show(row.get(column.key))) for column in columns] for row in rows]
    if sys.stdout.isatty():
        _draw(columns, cells, trailer, heading)
        return
    lines = [[column.heading for column in columns]] if heading else []
    lines += cells
    if trailer:
        lines.append(list(trailer))
    widths = [max((len(line[at]) for line in lines), default=0) for at in range(len(columns))]
    for line in lines:
        parts = [
            text.rjust(width) if column.right else text.ljust(width)
            for column, text, width in zip(columns, line, widths, strict=True)
        ]
        write("  ".join(parts).rstrip())


def _draw(columns: Sequence[Column], cells: list[list[str]], trailer: Sequence[str], heading: bool) -> None:
    # Imported late: it takes longer than all the rest of a command.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    feet = trailer or [""] * len(columns)
    widest = [
        max(len(text) for text in (column.heading if heading else "", foot, *column_cells))
        for column, foot, *column_cells in zip(columns, feet, *cells, strict=True)
    ]
    least = [
        width if column.right or column.key in _NAMES else min(width, _LEAST)
        for column, width in zip(columns, widest, strict=True)
    ]
    gap = 2 if sum(widest) + 2 * len(columns) <= console.width else 1
    # Narrower than that nothing could be read: the terminal breaks the lines then.
    console.width = max(console.width, sum(least) + gap * len(columns) + 1)
    table = Table(
        box=box.SIMPLE_HEAD,
        show_header=heading,
        show_footer=bool(trailer),
        pad_edge=False,
        padding=(0, gap - 1, 0, 0),
    )
    for column, foot, width in zip(columns, feet, least, strict=True):
        table.add_column(
            column.heading,
            footer=Text(foot),
            justify="right" if column.right else "left",
            # What has no room goes on in the next line: nothing of a list is left out.
            overflow="fold",
            min_width=width,
        )
    for line in cells:
        table.add_row(*(Text(text) for text in line))
    console.print(table)


def count(value: Any) -> str:
    """A number; ``-`` for none."""
    return "-" if value is None else str(value)


def when(value: Any) -> str:
    """Epoch seconds as local time; ``-`` for none."""
    if value is None:
        return "-"
    try:
        return time.strftime("%d-%b-%Y %H:%M:%S", time.localtime(value))
    except (OverflowError, ValueError, OSError):
        return "?"


def kilobytes(value: Any) -> str:
    """Octets in units of 1024, rounded up as ``ls -s`` does."""
    return str(-(-int(value) // 1024))


def sender(value: Any) -> str:
    """A sender; the null sender as ``<>``."""
    return value or "<>"


def several(value: Any) -> str:
    """A list's first item, and how many more there are."""
    items: list[str] = list(value or ())
    if len(items) > 1:
        return f"{items[0]} +{len(items) - 1}"
    return items[0] if items else "-"


def yes(value: Any) -> str:
    """``yes`` or nothing."""
    return "yes" if value else ""


def text(value: Any) -> str:
    """Text; nothing for none."""
    return "" if value is None else str(value)


def joined(values: Iterable[str]) -> str:
    """Names in a sentence."""
    return ", ".join(values)
