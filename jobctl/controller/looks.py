"""What an operator sees of the queue; nothing here changes anything."""

import os
from collections.abc import AsyncIterator
from typing import Any

from jobctl.accounts.balance import ledger_rows
from jobctl.control.operations import Caller
from jobctl.control.refusals import unknown_channel, unknown_id
from jobctl.control.requests import CacheView, QmDirectory, QmHistory, QmJobs, QmMessages, QmRead
from jobctl.control.selection import channel_matches, matching_channels, selector
from jobctl.mail.entry import Lasting, StoredEntry
from jobctl.mail.notification import header_of

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
        rows = []
        for name in sorted({*at.settings.channels, *summary}):
            queued, waiting, held, octets, oldest = summary.get(name, (0, 0, 0, 0, None))
            active = at.scheduler.counts(name).active
            ready = max(queued - waiting - active, 0)
            delayed = queued - active - ready
            rows.append(
                {
                    "channel": name,
                    "messages": queued + held,
                    "ready": ready,
                    "active": active,
                    "delayed": max(delayed, 0),
                    "held": held,
                    "size": octets,
                    "oldest": oldest,
                    "stopped": name in stopped,
                }
            )
        return rows

    async def ledger(self, request: Any, caller: Caller, stream: Any) -> list[dict[str, Any]]:
        return ledger_rows(await self._at.audit.look())

    async def pages(self, channel: str | None, held: bool | None) -> AsyncIterator[list[StoredEntry]]:
        """Every entry of the store in order of arrival, a page at a time; ``channel`` may have wildcards."""
        names: list[str | None] = [None]
        if channel is not None:
            names = list(self.channels(channel))
        for name in names:
            after = None
            while page := await self._at.store.directory(channel=name, held=held, limit=PAGE, after=after):
                yield page
                after = page[-1].entry.id

    def channels(self, pattern: str) -> list[str]:
        """:raises UsageError: No channel is meant by this name or pattern."""
        names = matching_channels(pattern, self._at.settings.channels)
        if not names:
            raise unknown_channel(pattern, self._at.settings.channels)
        return names

    async def qm_directory(self, request: QmDirectory, caller: Caller, stream: Any) -> int:
        return await self._list(request, stream, with_reason=False)

    async def qm_held(self, request: QmDirectory, caller: Caller, stream: Any) -> int:
        return await self._list(request, stream, with_reason=True)

    async def _list(self, request: QmDirectory, stream: Any, with_reason: bool) -> int:
        wanted = selector(request)
        held = True if with_reason else request.held
        now = self._at.reactor.seconds()
        sent = 0
        async for page in self.pages(request.channel, held):
            rows = [
                self.row(stored, now, with_reason)
                for stored in page
                if wanted(
                    stored.entry.channel,
                    stored.state is Lasting.HELD,
                    stored.envelope.sender,
                    [recipient.address for recipient in stored.envelope.recipients],
                )
            ]
            if request.limit:
                rows = rows[: request.limit - sent]
            sent += len(rows)
            if rows and (slow := stream.send(*rows)) is not None:
                await slow
            if stream.cancelled or (request.limit and sent >= request.limit):
                break
        return sent

    def row(self, stored: StoredEntry, now: float, with_reason: bool) -> dict[str, Any]:
        """One entry with the stable keys of ``qm directory --json``."""
        entry = stored.entry
        if stored.state is Lasting.HELD:
            state = "held"
        else:
            state = self._at.scheduler.state(entry.id, now) or ("delayed" if entry.due > now else "ready")
        row = {
            "id": entry.id,
            "channel": entry.channel,
            "host": entry.host,
            "state": state,
            "sender": stored.envelope.sender,
            "recipients": [recipient.address for recipient in stored.envelope.recipients],
            "size": entry.size,
            "priority": entry.priority.word,
            "attempts": entry.attempts,
            "enqueued": entry.enqueued,
            "next_attempt": None if state in ("held", "active") else max(entry.due, entry.enqueued),
            "last_reply": stored.last_reply,
        }
        if with_reason:
            row["reason"] = stored.reason
        return row

    async def qm_messages(self, request: QmMessages, caller: Caller, stream: Any) -> list[dict[str, Any]]:
        hosts: dict[str, dict[str, Any]] = {}
        for name in self.channels(request.channel):
            for host, active, ready, delayed, _until in self._at.scheduler.hosts(name):
                row = hosts.setdefault(host, {"host": host, "active": 0, "delayed": 0})
                row["active"] += ready + active
                row["delayed"] += delayed
        return [hosts[host] for host in sorted(hosts)]

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

    async def qm_history(self, request: QmHistory, caller: Caller, stream: Any) -> int:
        ids = list(request.ids)
        if request.all:
            async for page in self.pages(request.channel, None):
                ids += [stored.entry.id for stored in page]
        else:
            found = {stored.entry.id for stored in await self._at.store.fetch(ids)}
            for entry_id in ids:
                if entry_id not in found:
                    raise unknown_id(entry_id)
        sent = 0
        for entry_id in ids:
            rows = [
                {
                    "id": entry_id,
                    "when": line.when,
                    "what": line.what,
                    "text": line.text,
                    "recipient": line.recipient,
                    "host": line.host,
                    "job": line.job,
                }
                for line in await self._at.store.history(entry_id)
            ]
            sent += len(rows)
            if rows and (slow := stream.send(*rows)) is not None:
                await slow
            if stream.cancelled:
                break
        return sent

    async def qm_read(self, request: QmRead, caller: Caller, stream: Any) -> dict[str, int]:
        found = await self._at.store.fetch([request.message])
        if not found:
            raise unknown_id(request.message)
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
        now = self._at.reactor.seconds()
        scheduler = self._at.scheduler
        meant = [entry for entry in scheduler.entries() if channel_matches(request.channel, entry.channel)]
        sent = 0
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
                    "state": state,
                }
                for entry in meant[at : at + PAGE]
                # Slow readers see no more of what has left meanwhile.
                if (state := scheduler.state(entry.id, now)) is not None
            ]
            sent += len(rows)
            if rows and (slow := stream.send(*rows)) is not None:
                await slow
            if stream.cancelled:
                break
        return sent

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
