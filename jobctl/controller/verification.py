"""``cache.sync`` and ``cache.walk``: whether memory is as the store says, and what is in it."""

from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from jobctl.config.overlay import GLOBAL
from jobctl.control.operations import Caller
from jobctl.control.requests import CacheChange, CacheSync, CacheWalk
from jobctl.mail.entry import Lasting, QueueEntry

log = Logger()

PAGE = 500
# Looks at what seemed different before it counts, and seconds between them: what is being settled right
# now is on the disk a moment before memory knows.
ROUNDS = 3
PAUSE = 1.0
# Differences that are looked at and told of.
MOST = 1000


class Verification:
    """
    Compares page by page, while deliveries go on, and rests after each.

    :ivar differences: Entries found different since the start: with a correct controller none.
    """

    def __init__(self, controller: Any) -> None:
        self._at = controller
        self._one = DeferredLock()
        self.differences = 0

    async def cache_sync(self, request: CacheSync, caller: Caller, stream: Any) -> dict[str, Any]:
        await self._one.acquire()
        try:
            suspects: dict[str, str] = {}
            stored = await self._from_the_store(suspects, stream)
            known = await self._from_memory(suspects, stream)
            for _ in range(ROUNDS):
                if not suspects:
                    break
                await self._rest(PAUSE)
                suspects = await self._again(list(suspects))
            rows = [await self._mend(entry_id, text) for entry_id, text in suspects.items()]
        finally:
            self._one.release()
        self._alarm(rows)
        return {"stored": stored, "memory": known, "differences": rows}

    async def _from_the_store(self, suspects: dict[str, str], stream: Any) -> int:
        """Every queued entry of the store: is memory right about it?"""
        seen, after = 0, None
        total = sum(row[0] for row in (await self._at.store.summarize()).values())
        while True:
            start = self._at.reactor.seconds()
            page = await self._at.store.directory(held=False, limit=PAGE, after=after)
            if not page:
                break
            for stored in page:
                self._note(suspects, stored.entry.id, self._at.scheduler.compare(stored.entry))
            seen += len(page)
            after = page[-1].entry.id
            stream.progress({"done": min(seen, total), "of": total})
            if stream.cancelled:
                break
            await self._rest(self._at.reactor.seconds() - start)
        return seen

    async def _from_memory(self, suspects: dict[str, str], stream: Any) -> int:
        """Every entry of memory: has the store got it?"""
        ids = [entry.id for entry in self._at.scheduler.entries()]
        for at in range(0, len(ids), PAGE):
            if stream.cancelled:
                break
            start = self._at.reactor.seconds()
            page = ids[at : at + PAGE]
            queued = await self._queued(page)
            for entry_id in page:
                if entry_id not in queued and self._in_memory(entry_id):
                    self._note(suspects, entry_id, "is in memory and not queued in the store")
            await self._rest(self._at.reactor.seconds() - start)
        return len(ids)

    async def _again(self, ids: list[str]) -> dict[str, str]:
        """Those of them that are still different."""
        found: dict[str, str] = {}
        for at in range(0, len(ids), PAGE):
            page = ids[at : at + PAGE]
            queued = await self._queued(page)
            for entry_id in page:
                if entry_id in queued:
                    self._note(found, entry_id, self._at.scheduler.compare(queued[entry_id]))
                elif self._in_memory(entry_id):
                    self._note(found, entry_id, "is in memory and not queued in the store")
        return found

    async def _mend(self, entry_id: str, text: str) -> dict[str, Any]:
        """The store is right: memory takes what it says."""
        now = self._at.reactor.seconds()
        entry = (await self._queued([entry_id])).get(entry_id)
        mended = self._at.scheduler.state(entry_id, now) != "active"
        if mended:
            self._at.hot.drop(entry_id)
            self._at.scheduler.settled(entry_id, now)
            if entry is not None:
                self._at.scheduler.add(entry, now)
            self._at.dispatch.kick()
        return {"id": entry_id, "text": text, "mended": mended}

    def _alarm(self, rows: list[dict[str, Any]]) -> None:
        self.differences += len(rows)
        if rows:
            log.critical(
                "memory and store differ in {count} entries: {first}; please report it",
                count=len(rows),
                first=", ".join(f"{row['id']} {row['text']}" for row in rows[:5]),
            )

    async def _queued(self, ids: list[str]) -> dict[str, QueueEntry]:
        found = await self._at.store.fetch(ids)
        return {one.entry.id: one.entry for one in found if one.state is Lasting.QUEUED}

    def _in_memory(self, entry_id: str) -> bool:
        return self._at.scheduler.state(entry_id, self._at.reactor.seconds()) is not None

    def _note(self, suspects: dict[str, str], entry_id: str, text: str) -> None:
        if text and len(suspects) < MOST:
            suspects[entry_id] = text

    async def _rest(self, seconds: float) -> None:
        """As long as a page took: half of one core at most."""
        pause: Deferred[None] = Deferred()
        self._at.reactor.callLater(min(max(seconds, 0.0), PAUSE), pause.callback, None)
        await pause

    async def cache_walk(self, request: CacheWalk, caller: Caller, stream: Any) -> dict[str, int]:
        lines = 0
        log.info("walk, for {who}:", who=caller.name)
        for text in self._at.scheduler.walk(self._at.reactor.seconds()):
            log.info("walk: {text}", text=text)
            lines += 1
        if request.debug is not None:
            change = CacheChange(scope=GLOBAL, set={"debug": str(request.debug)})
            await self._at.live_changes.cache_change(change, caller, stream)
        return {"lines": lines, "debug": self._at.settings.controller.debug}
