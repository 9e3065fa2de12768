"""Contents given out, and what happens when they are not what was stored: this part of the store on SQLite."""

import sqlite3
from collections.abc import Callable
from typing import Any
from zlib import crc32

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.errors import StoreError
from jobctl.mail.entry import Attempt, Lasting, Settlement
from jobctl.store import reading
from jobctl.store.content import ContentFiles, FileContent, InlineContent
from jobctl.store.readers import seen

log = Logger()


class Contents:
    """A part of :class:`jobctl.store.sqlite.SQLiteStore`, which has the threads."""

    _ask: Callable[[Any, Callable[[sqlite3.Connection], Any]], "Deferred[Any]"]
    settle: Callable[[Settlement], "Deferred[Any]"]
    _clock: Callable[[], float]
    _deliveries: Any
    _lists: Any
    _files: ContentFiles

    def content(self, message: int) -> "Deferred[InlineContent | FileContent]":
        """:raises StoreError: (fails) gone or damaged; then its entries are held."""

        def damaged(why: str) -> None:
            self._hold_damaged(message, why)

        def load(connection: sqlite3.Connection) -> InlineContent | FileContent:
            return _load(connection, self._files, message, damaged)

        def failed(why: Failure) -> Failure:
            if why.check(_DamagedContent):
                damaged(why.getErrorMessage())
            return why

        return self._ask(self._deliveries, load).addErrback(failed)

    def _hold_damaged(self, message: int, why: str) -> None:
        """Nobody can be given this content: its entries wait for an operator."""
        log.error("store: content of message {number} is damaged: {why}", number=message, why=why)

        def hold(ids: list[str]) -> None:
            for text in ids:
                line = Attempt(when=self._clock(), what="damaged", text=why)
                settlement = Settlement(id=text, state=Lasting.HELD, reason=why, history=(line,))
                self.settle(settlement).addErrback(seen)

        self._ask(self._lists, lambda connection: reading.entries_of(connection, message)).addCallbacks(
            hold, seen
        )


class _DamagedContent(StoreError):
    """Content in the database is not what was stored."""


def _load(
    connection: sqlite3.Connection, files: ContentFiles, message: int, damaged: Callable[[str], None]
) -> InlineContent | FileContent:
    row = reading.content_row(connection, message)
    if row is None:
        raise StoreError("the message is gone")
    size, crc, file, content = row
    if file is None:
        content = content or b""
        if crc32(content) != crc or len(content) != size:
            raise _DamagedContent("the content is not what was stored (checksum)")
        return InlineContent(content)
    try:
        return FileContent(files.path(file), size, crc, damaged)
    except OSError as why:
        raise _DamagedContent(f"the content file cannot be read: {why.strerror}") from why
