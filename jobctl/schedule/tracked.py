"""One queue entry in the schedule's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from jobctl.mail.entry import QueueEntry

if TYPE_CHECKING:
    from jobctl.schedule.hosts import HostQueue
    from jobctl.schedule.jobs import Job

# States.  ALONE: ready, for a job that holds nothing else.
# RUN: set aside for an operator's run.  EXPIRED: given to the caller to be returned, or to warn.
# GONE: a leftover in some queue, to be dropped when it surfaces.
READY, DELAYED, ACTIVE, RUN, EXPIRED, GONE, ALONE = range(7)


class Item(msgspec.Struct, gc=False, eq=False):
    """
    An entry and where it is.

    Queues delete lazily: what leaves one out of turn is marked GONE and continues as a new
    Item, so each Item is live in one queue at most and never comes back to one.

    There are a hundred thousand of them.  The garbage collector knows of none, or it would stop everything for a
    tenth of a second whenever it looks at all objects; so a host is only forgotten when no queue of its has an Item.

    :ivar entry: ``entry.due`` is what the store has, also while it is to be tried earlier or later.
    :ivar due: While it is delayed: until when; while it is ready: since when (epoch seconds).
    :ivar run: The run it was offered to.
    :ivar shut: It is delayed because the delivery window of its priority is closed.
    :ivar removed: Taken away by an operator while active; forgotten when it settles.
    """

    entry: QueueEntry
    host: HostQueue
    due: float = 0.0
    state: int = GONE
    job: Job | None = None
    run: str | None = None
    removed: bool = False
    shut: bool = False
