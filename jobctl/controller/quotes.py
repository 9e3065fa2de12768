"""What a notification quotes of the original."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.errors import StoreError
from jobctl.interfaces import IContent
from jobctl.mail.entry import StoredEntry
from jobctl.mail.notification import QUOTE_LIMIT

log = Logger()

_CHUNK = 64 * 1024


class Quotes:
    """
    Reads originals.

    :param store: jobctl.interfaces.IMessageStore
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    def of(self, stored: StoredEntry) -> Deferred[bytes]:
        """The original or its beginning; ``b""`` when it cannot be read any more.  Never fails."""
        reading: Deferred[IContent] = self._store.content(stored.message)
        return reading.addCallback(_beginning).addErrback(_unreadable, stored.entry.id)


def _beginning(content: IContent) -> bytes:
    try:
        pieces, left = [], QUOTE_LIMIT
        while left > 0 and (piece := content.read(min(left, _CHUNK))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)
    finally:
        content.close()


def _unreadable(why: Failure, entry: str) -> bytes:
    if not why.check(StoreError):
        log.failure("{entry}: its content cannot be quoted", failure=why, entry=entry)
    return b""
