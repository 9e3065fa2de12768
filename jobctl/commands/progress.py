"""How far long work is: a bar on a terminal, nothing elsewhere."""

import sys
from types import TracebackType
from typing import Any, Self


class Bar:
    """
    A bar on standard error, gone when the work is done.

    :param what: What is being done, before the bar.
    :param shown: Whether to show it where standard error is a terminal.
    """

    def __init__(self, what: str, shown: bool = True) -> None:
        self._what = what
        self._shown = shown and sys.stderr is not None and sys.stderr.isatty()
        self._progress: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, done: int, of: int) -> None:
        """So far, of so many."""
        if not self._shown:
            return
        if self._progress is None:
            self._begin()
        self._progress.update(self._task, completed=done, total=of or None)

    def _begin(self) -> None:
        # Imported late: it takes longer than all the rest of a command.
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task(self._what, total=None)
        self._progress.start()
