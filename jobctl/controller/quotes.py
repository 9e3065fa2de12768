"""What a notification quotes: the original, and what was tried with it before."""

from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger

from jobctl.config.settings import Settings
from jobctl.errors import StoreError
from jobctl.interfaces import IContent
from jobctl.mail.entry import Attempt, StoredEntry
from jobctl.notification.notice import Original
from jobctl.notification.original import MOST_HEADER

log = Logger()

_CHUNK = 64 * 1024


class Quotes:
    """
    Reads originals and their history.

    :param store: jobctl.interfaces.IMessageStore
    """

    def __init__(self, store: Any, settings: Settings) -> None:
        self._store = store
        self.reconfigure(settings)

    def reconfigure(self, settings: Settings) -> None:
        """What is quoted from now on is quoted as these have it."""
        self.settings = settings

    def of(
        self, stored: StoredEntry, content: bytes | None = None, header: bool = False
    ) -> Deferred[Original]:
        """
        :param content: The whole content where it is at hand.
        :param header: No more than the header is wanted, for what is no failure.
        :return: Without what cannot be read any more.  Never fails; fires at once when there is
            nothing to be read.
        """
        return ensureDeferred(self._read(stored, content, header))

    async def _read(self, stored: StoredEntry, content: bytes | None, header: bool) -> Original:
        if content is None:
            limit = self.settings.mta.content_return_limit
            whole = not header and stored.entry.size <= limit
            content = await self._content(stored, stored.entry.size if whole else MOST_HEADER)
        # A first attempt has nothing behind it.
        tried = stored.entry.attempts or stored.last_reply
        return Original(content, await self._history(stored) if tried else ())

    async def _content(self, stored: StoredEntry, most: int) -> bytes:
        try:
            opened: IContent = await self._store.content(stored.message)
            try:
                return _beginning(opened, most)
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


def _beginning(content: IContent, most: int) -> bytes:
    pieces, left = [], most
    while left > 0 and (piece := content.read(min(left, _CHUNK))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
