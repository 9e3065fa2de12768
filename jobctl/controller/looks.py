"""What an operator sees of the queue; nothing here changes anything."""

import os
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from jobctl.accounts.balance import ledger_rows
from jobctl.accounts.history import Search
from jobctl.control.account_requests import QmShares
from jobctl.control.operations import Caller
from jobctl.control.refusals import unknown_channel
from jobctl.control.requests import CacheView, QmDirectory, QmHistory, QmJobs, QmMessages, QmRead
from jobctl.control.selection import channel_matches, in_list, matching_channels
from jobctl.controller.row_stream import RowStream
from jobctl.mail.entry import Lasting, StoredEntry
from jobctl.mail.header import header_of
from jobctl.mail.rows import attempt_row, entry_row
from jobctl.selection.candidate import Candidate, queued
from jobctl.selection.narrowing import ANYTHING, Narrowing
from jobctl.selection.selector import Selector, selector

PAGE = 500
_CHUNK = 64 * 1024


class Looks:
    """
    The reading operations of the control socket.

    :param controller: The :class:`jobctl.controller.controller.Controller` that is looked at.
    """

    def __init__(self, controller: Any) -> None:
        self._at = controller

    async def qm_summarize(self, request: Any, caller: Caller, stream: Any) -> list[dict[str, Any]]:
        at = self._at
        summary = await at.store.summarize()
        stopped = await at.store.stopped()
        blocked = at.scheduler.blocked()
        overdue: Counter[str] = Counter()
        for (name, _host), count in zip(blocked, await at.store.overdue(blocked), strict=True):
            overdue[name] += count
        rows = []
        for name in sorted({*at.settings.channels, *summary}):
            queued, waiting, held, octets, oldest = summary.get(name, (0, 0, 0, 0, None))
            counts = at.scheduler.totals(name, queued, waiting, overdue[name])
            rows.append(
                {
                    "channel": name,
                    "messages": queued + held,
                    "ready": counts.ready,
                    "active": counts.active,
                    "delayed": counts.delayed,
                    "held": held,
                    "size": octets,
                    "oldest": oldest,
                    "stopped": name in stopped,
                }
            )
        return rows

    async def ledger(self, request: Any, caller: Caller, stream: Any) -> list[dict[str, Any]]:
        return ledger_rows(await self._at.audit.look())

    async def pages(
        self,
        channel: str | None,
        held: bool | None,
        narrowed: Narrowing = ANYTHING,
        size: int = PAGE,
    ) -> AsyncIterator[list[StoredEntry]]:
        """
        The entries of the store in order of arrival, a page at a time, channel by channel where some are meant.

        :param channel: May have wildcards.
        :param narrowed: Where else there is no need to look.
        :param size: Entries of a page; those named by id are one.
        """
        if held is None:
            held = narrowed.held
        elif narrowed.held not in (None, held):
            return
        names = await self._meant(channel, narrowed)
        if narrowed.ids is not None:
            found = await self._at.store.fetch(sorted(narrowed.ids))
            yield [
                stored
                for stored in sorted(found, key=_arrival)
                if (names is None or stored.entry.channel in names)
                and held in (None, stored.state is Lasting.HELD)
            ]
            return
        for name in [None] if names is None else names:
            after = None
            while page := await self._at.store.directory(
                channel=name, held=held, limit=size, after=after, hosts=narrowed.hosts
            ):
                yield page
                after = page[-1].entry.id

    async def _meant(self, channel: str | None, narrowed: Narrowing) -> list[str] | None:
        """The channels to look at, ``None``: all of them."""
        if channel is not None:
            return narrowed.meant_channels(self.channels(channel))
        if narrowed.channels is None:
            return None
        # A channel that is not configured any more may still have mail.
        return narrowed.meant_channels(
            sorted({*self._at.settings.channels, *await self._at.store.summarize()})
        )

    def channels(self, pattern: str) -> list[str]:
        """:raises UsageError: No channel is meant by this name or pattern."""
        names = matching_channels(pattern, {*self._at.settings.channels, *self._at.gone})
        if not names:
            raise unknown_channel(pattern, self._at.settings.channels)
        return names

    async def qm_directory(self, request: QmDirectory, caller: Caller, stream: Any) -> int:
        return await self._list(request, stream, with_reason=False)

    async def qm_held(self, request: QmDirectory, caller: Caller, stream: Any) -> int:
        return await self._list(request, stream, with_reason=True)

    async def _list(self, request: QmDirectory, stream: Any, with_reason: bool) -> int:
        now = self._at.reactor.seconds()
        wanted = in_list(request, now)
        narrowed = ANYTHING if request.where is None else selector(request.where).narrowed
        held = True if with_reason else request.held
        answer = RowStream(stream, request.limit)
        async for page in self.pages(request.channel, held, narrowed):
            await answer.send(
                [self.row(stored, now, with_reason) for stored in page if wanted(self.candidate(stored, now))]
            )
            if answer.over:
                break
        return answer.sent

    def candidate(self, stored: StoredEntry, now: float) -> Candidate:
        """An entry as selectors look at it."""
        return queued(stored, now, self._at.scheduler.outlook(stored.entry, now).state)

    def row(self, stored: StoredEntry, now: float, with_reason: bool) -> dict[str, Any]:
        """One entry with the stable keys of ``qm directory --json``."""
        entry = stored.entry
        held = stored.state is Lasting.HELD
        row = {
            **entry_row(stored, self.candidate(stored, now).state),
            "next_attempt": None if held else self._at.scheduler.outlook(entry, now).next_attempt,
            "last_reply": stored.last_reply,
        }
        if with_reason:
            row["reason"] = stored.reason
        return row

    async def qm_messages(self, request: QmMessages, caller: Caller, stream: Any) -> list[dict[str, Any]]:
        if request.where is not None:
            return await self._counted(request.channel, selector(request.where))
        hosts: dict[str, dict[str, Any]] = {}
        for name in self.channels(request.channel):
            for host, active, ready, delayed, _until in self._at.scheduler.hosts(name):
                row = hosts.setdefault(host, {"host": host, "active": 0, "delayed": 0})
                row["active"] += ready + active
                row["delayed"] += delayed
        return [hosts[host] for host in sorted(hosts)]

    async def _counted(self, channel: str, where: Selector) -> list[dict[str, Any]]:
        """As :meth:`qm_messages`, counted in the store."""
        now = self._at.reactor.seconds()
        hosts: dict[str, dict[str, Any]] = {}
        async for page in self.pages(channel, False, where.narrowed):
            for candidate in (self.candidate(stored, now) for stored in page):
                if where.matches(candidate, now):
                    host = candidate.host
                    row = hosts.setdefault(host, {"host": host, "active": 0, "delayed": 0})
                    row["delayed" if candidate.state == "delayed" else "active"] += 1
        return [hosts[host] for host in sorted(hosts)]

    def qm_shares(self, request: QmShares, caller: Caller, stream: Any) -> list[dict[str, Any]]:
        names = (
            sorted(self._at.settings.channels) if request.channel is None else self.channels(request.channel)
        )
        now = self._at.reactor.seconds()
        found = [self._at.scheduler.fairness(name, now) for name in names]
        return [msgspec.to_builtins(fairness) for fairness in found if fairness.shares]

    def qm_jobs(self, request: QmJobs, caller: Caller, stream: Any) -> list[dict[str, Any]]:
        if request.channel is not None:
            self.channels(request.channel)
        rows = []
        for job in self._at.jobs.values():
            name = job.spec.channel.name
            if not channel_matches(request.channel, name):
                continue
            hosts: dict[str, int] = {}
            for assignment in job.held.values():
                host = assignment.frame.host
                hosts[host] = hosts.get(host, 0) + 1
            tally = self._at.tally.of(job.id)
            rows.append(
                {
                    "job": job.id,
                    "pid": job.pid,
                    "channel": name,
                    "role": job.spec.role,
                    "hosts": hosts,
                    "messages": list(job.held),
                    "processed": tally.processed,
                    "failed": tally.failed,
                    "started": job.started,
                }
            )
        return rows

    async def _with_history(self, request: QmHistory) -> AsyncIterator[str]:
        """
        The ids asked for.

        :raises UsageError: One of them is not there.
        """
        if request.where is not None or request.all:
            now = self._at.reactor.seconds()
            where = None if request.where is None else selector(request.where)
            narrowed = ANYTHING if where is None else where.narrowed
            async for page in self.pages(request.channel, None, narrowed):
                for stored in page:
                    if where is None or where.matches(self.candidate(stored, now), now):
                        yield stored.entry.id
            return
        found = {stored.entry.id for stored in await self._at.store.fetch(list(request.ids))}
        if gone := tuple(entry_id for entry_id in request.ids if entry_id not in found):
            finished, _ = await self._at.store.finished(Search(ids=gone), 0, 100_000)
            found.update(one.id for one in finished)
        for entry_id in request.ids:
            if entry_id not in found:
                raise await self._at.acts.absent(entry_id)
        for entry_id in request.ids:
            yield entry_id

    async def qm_history(self, request: QmHistory, caller: Caller, stream: Any) -> int:
        answer = RowStream(stream)
        async for entry_id in self._with_history(request):
            lines = await self._at.store.history(entry_id)
            await answer.send([{"id": entry_id, **attempt_row(line)} for line in lines])
            if answer.over:
                break
        return answer.sent

    async def qm_read(self, request: QmRead, caller: Caller, stream: Any) -> dict[str, int]:
        found = await self._at.store.fetch([request.message])
        if not found:
            raise await self._at.acts.absent(request.message)
        stored = found[0]
        row = self.row(stored, self._at.reactor.seconds(), with_reason=True)
        row["envelope_id"] = stored.envelope_id
        row["source"] = stored.source
        stream.send(row)
        content = await self._at.store.content(stored.message)
        sent = 0
        try:
            if not request.content:
                header = header_of(content.read(1024 * 1024))
                stream.content(header)
                return {"octets": len(header)}
            while not stream.cancelled and (piece := content.read(_CHUNK)):
                sent += len(piece)
                if (slow := stream.content(piece)) is not None:
                    await slow
        finally:
            content.close()
        return {"octets": sent}

    async def cache_view(self, request: CacheView, caller: Caller, stream: Any) -> int:
        if request.channel is not None:
            self.channels(request.channel)
        now = self._at.reactor.seconds()
        scheduler = self._at.scheduler
        meant = [entry for entry in scheduler.entries() if channel_matches(request.channel, entry.channel)]
        answer = RowStream(stream)
        for at in range(0, len(meant), PAGE):
            rows = [
                {
                    "id": entry.id,
                    "channel": entry.channel,
                    "host": entry.host,
                    "priority": entry.priority.word,
                    "size": entry.size,
                    "attempts": entry.attempts,
                    "due": entry.due,
                    "state": outlook.state,
                    "next_attempt": outlook.next_attempt,
                }
                for entry in meant[at : at + PAGE]
                # Slow readers see no more of what has left meanwhile.
                if scheduler.state(entry.id, now) is not None and (outlook := scheduler.outlook(entry, now))
            ]
            await answer.send(rows)
            if answer.over:
                break
        return answer.sent

    def process(self, request: Any, caller: Caller, stream: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = [
            {
                "pid": os.getpid(),
                "program": "jobctl",
                "channel": "",
                "job": "",
                "role": "controller",
                "started": self._at.started,
            }
        ]
        for job in self._at.jobs.values():
            rows.append(
                {
                    "pid": job.pid,
                    "program": os.path.basename(job.spec.argv[0]) if job.spec.argv else "",
                    "channel": job.spec.channel.name,
                    "job": job.id,
                    "role": job.spec.role,
                    "started": job.started,
                }
            )
        return rows


def _arrival(stored: StoredEntry) -> tuple[int, str]:
    """Ids only grow."""
    return len(stored.entry.id), stored.entry.id
