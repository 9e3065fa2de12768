"""Rows of a list on their way to whoever asked for it."""

from typing import Any, TypeVar

T = TypeVar("T")


class RowStream:
    """
    Rows that are sent page by page, no faster than they are read.

    :param stream: The :class:`jobctl.control.operations.IStream` of the request.
    :param limit: The most rows that are wanted, 0: any number.
    :ivar sent: Rows so far.
    """

    def __init__(self, stream: Any, limit: int = 0) -> None:
        self._stream = stream
        self._limit = limit
        self.sent = 0

    @property
    def over(self) -> bool:
        """No more is wanted."""
        return self._stream.cancelled or bool(self._limit and self.sent >= self._limit)

    def wanted(self, rows: list[T]) -> list[T]:
        """Those of a page that are still wanted."""
        return rows[: self._limit - self.sent] if self._limit else rows

    async def send(self, rows: list[Any]) -> None:
        """Send what is wanted of a page."""
        rows = self.wanted(rows)
        self.sent += len(rows)
        if rows and (slow := self._stream.send(*rows)) is not None:
            await slow
