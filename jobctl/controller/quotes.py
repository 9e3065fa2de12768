"""What a notification quotes: the original, and what was tried with it before."""

from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger

from jobctl.errors import StoreError
from jobctl.interfaces import IContent
from jobctl.mail.entry import Attempt, StoredEntry
from jobctl.mail.notification import QUOTE_LIMIT, Original

log = Logger()

_CHUNK = 64 * 1024


class Quotes:
    """
    Reads originals and their history.

    :param store: jobctl.interfaces.IMessageStore
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    def of(self, stored: StoredEntry, content: bytes | None = None) -> Deferred[Original]:
        """
        :param content: The whole content where it is at hand.
        :return: Without what cannot be read any more.  Never fails; fires at once when there is
            nothing to be read.
        """
        return ensureDeferred(self._read(stored, content))

    async def _read(self, stored: StoredEntry, content: bytes | None) -> Original:
        if content is None:
            content = await self._content(stored)
        # A first attempt has nothing behind it.
        tried = stored.entry.attempts or stored.last_reply
        return Original(content, await self._history(stored) if tried else ())

    async def _content(self, stored: StoredEntry) -> bytes:
        try:
            opened: IContent = await self._store.content(stored.message)
            try:
                return _beginning(opened)
            finally:
                opened.close()
        except StoreError:
            return b""
        except Exception:
            log.failure("{entry}: its content cannot be quoted", entry=stored.entry.id)
            return b""

    async def _history(self, stored: StoredEntry) -> tuple[Attempt, ...]:
        try:
            return tuple(await self._store.history(stored.entry.id))
        except StoreError:
            return ()
        except Exception:
            log.failure("{entry}: its history cannot be quoted", entry=stored.entry.id)
            return ()


def _beginning(content: IContent) -> bytes:
    pieces, left = [], QUOTE_LIMIT
    while left > 0 and (piece := content.read(min(left, _CHUNK))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
