"""What each channel has done, counted after the Mail Monitoring MIB (RFC 1566 section 3)."""

from typing import Any

import msgspec

from jobctl.accounts.records import blocks
from jobctl.mail.disposition import Verdict
from jobctl.mail.entry import Loss, Settlement, StoredEntry, Submission

_REACHED = frozenset({Loss.DELIVERED, Loss.RELAYED})
_GIVEN_UP = frozenset({Loss.FAILED, Loss.EXPIRED})


class Volume(msgspec.Struct):
    """Messages, their recipients, and the blocks of 1024 octets they have."""

    messages: int = 0
    recipients: int = 0
    blocks: int = 0

    def add(self, recipients: int, octets: int) -> None:
        """One message with so many recipients."""
        self.messages += 1
        self.recipients += recipients
        self.blocks += blocks(octets)


class Associations(msgspec.Struct):
    """Connections: made, and refused or failed; how many there are now is not kept."""

    total: int = 0
    rejected: int = 0


class Authentications(msgspec.Struct):
    """Clients that have proved who they are, and attempts that were in vain (535)."""

    accepted: int = 0
    failed: int = 0


class ChannelCounts(msgspec.Struct):
    """
    One channel's, each since it was cleared.

    A message counts once for each queue entry that it has, and for each attempt in what attempts come to.

    :ivar since: Epoch seconds.
    :ivar received: Came into its queue; ``submitted``: came from it into others' queues.
    :ivar delivered: Attempts that reached recipients; ``first_time``: of them those that were the first.
    :ivar attempted: Attempts after which recipients wait; ``failed``: recipients given up.
    :ivar rejected: Mail that its server did not take.
    :ivar queue_seconds: In the queue, all delivered messages together; ``queue_count`` of them;
        ``first_seconds``: those delivered at the first attempt.
    """

    since: float = 0.0
    received: Volume = msgspec.field(default_factory=Volume)
    delivered: Volume = msgspec.field(default_factory=Volume)
    submitted: Volume = msgspec.field(default_factory=Volume)
    attempted: Volume = msgspec.field(default_factory=Volume)
    rejected: Volume = msgspec.field(default_factory=Volume)
    failed: Volume = msgspec.field(default_factory=Volume)
    first_time: int = 0
    queue_seconds: float = 0.0
    queue_count: int = 0
    first_seconds: float = 0.0
    inbound: Associations = msgspec.field(default_factory=Associations)
    outbound: Associations = msgspec.field(default_factory=Associations)
    authentications: Authentications = msgspec.field(default_factory=Authentications)


class Counts:
    """
    All channels'.

    :ivar changed: Something was counted since this was last set to ``False``.
    """

    def __init__(self, now: float, saved: dict[str, ChannelCounts] | None = None) -> None:
        self._now = now
        self._channels = saved or {}
        self.changed = False

    def of(self, channel: str) -> ChannelCounts:
        """A channel's, to be added to."""
        counts = self._channels.get(channel)
        if counts is None:
            counts = self._channels[channel] = ChannelCounts(since=self._now)
        self.changed = True
        return counts

    def __iter__(self) -> Any:
        return iter(self._channels.items())

    def clear(self, channel: str, now: float) -> None:
        """Begin anew."""
        self._channels[channel] = ChannelCounts(since=now)
        self.changed = True

    def saved(self) -> dict[str, ChannelCounts]:
        """What a restart is given."""
        return self._channels

    def queued(self, submission: Submission) -> None:
        """A message has come in."""
        submitted = self.of(submission.source.channel).submitted
        for entry in submission.entries:
            recipients = len(entry.recipients)
            self.of(entry.channel).received.add(recipients, submission.size)
            submitted.add(recipients, submission.size)

    def settled(self, stored: StoredEntry, settlement: Settlement, now: float) -> None:
        """A settlement of an entry is committed."""
        losses = settlement.losses
        if len(losses) == 1:
            # Nearly all.
            reached = int(losses[0][1] in _REACHED)
            given_up = int(losses[0][1] in _GIVEN_UP)
        else:
            reached = sum(loss in _REACHED for _, loss in losses)
            given_up = sum(loss in _GIVEN_UP for _, loss in losses)
        entry = stored.entry
        counts = self.of(entry.channel)
        if reached:
            seconds = max(0.0, now - entry.enqueued)
            counts.delivered.add(reached, entry.size)
            counts.queue_seconds += seconds
            counts.queue_count += 1
            if not entry.attempts:
                counts.first_time += 1
                counts.first_seconds += seconds
        if given_up:
            counts.failed.add(given_up, entry.size)
        left = len(stored.envelope.recipients) - len(losses)
        if left > 0 and settlement.job:
            waiting = sum(one.verdict is Verdict.DEFERRED for one in settlement.said) or left
            counts.attempted.add(waiting, entry.size)


def counter_row(
    channel: str,
    counts: ChannelCounts,
    stored: Volume,
    current: tuple[int, int],
    missing: int,
) -> dict[str, Any]:
    """
    One channel with the stable keys of ``jobctl counters show --json``.

    :param stored: What is in its queue now.
    :param current: Connections that are open now, inbound and outbound.
    :param missing: As :func:`jobctl.accounts.balance.missing`, of the last look.
    """
    row: dict[str, Any] = {"channel": channel, "since": counts.since}
    for name in ("received", "delivered", "submitted", "attempted", "rejected", "failed"):
        row[name] = msgspec.to_builtins(getattr(counts, name))
    row["stored"] = msgspec.to_builtins(stored)
    row["delivered_first_time"] = counts.first_time
    row["queue_seconds"], row["queue_count"] = counts.queue_seconds, counts.queue_count
    row["first_queue_seconds"], row["first_queue_count"] = counts.first_seconds, counts.first_time
    for name, made, now in (("in", counts.inbound, current[0]), ("out", counts.outbound, current[1])):
        row[f"{name}_associations"] = {"current": now, "total": made.total, "rejected": made.rejected}
    row["authentications"] = msgspec.to_builtins(counts.authentications)
    row["missing"] = missing
    return row
