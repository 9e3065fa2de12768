"""What the schedule decides and shows, as values."""

from collections.abc import Collection

import msgspec

from jobctl.mail.entry import QueueEntry

Key = tuple[float, str]


class StartJob(msgspec.Struct, frozen=True):
    """
    A job to be started.

    :ivar host: The one destination it will serve, ``None``: whatever the channel has.
    :ivar run: The operator's run that it belongs to.
    """

    channel: str
    host: str | None = None
    run: str | None = None


class LoadRequest(msgspec.Struct, frozen=True):
    """
    What to read from the store and give to :meth:`Scheduler.loaded`.

    It is repeated by every plan until it is answered, so one that failed needs no report.

    :ivar kind: ``window`` (uses ``skip``) or ``backlog`` (uses ``channel`` and ``host``,
        ``None``: all hosts), as the methods of :class:`jobctl.interfaces.IMessageStore`.
    :ivar after: ``(due, id)`` beyond which to look, ``None``: from the beginning.
    :ivar skip: At most 500 pairs of channel and host.
    :ivar run: The run on whose behalf; of no meaning to the caller.
    """

    kind: str
    after: Key | None
    limit: int
    skip: Collection[tuple[str, str]] = ()
    channel: str = ""
    host: str | None = None
    run: str | None = None


class Plan(msgspec.Struct, gc=False):
    """
    What to do now.

    :ivar handouts: (job, entry ids in order), each job once.
    :ivar expired: Entries past their lifetime; settle each as expired.  They stay with the
        caller, as active ones do, until ``settled`` or ``deferred``.
    :ivar warn: Entries whose senders are to be told of the delay, each with the age (one of ``notices``, or 0)
        that it has reached; they stay with the caller likewise.
    :ivar stop_jobs: Jobs to be stopped in order; nothing more is handed to them.
    :ivar postpone: Entries that the store is to have as due at a later time, because their delivery window
        is closed and memory is full: record it and say ``postponed``.
    :ivar judge: Entries of which it is not known which retry rule applies: say it by ``ruled``.
    """

    handouts: list[tuple[str, list[str]]]
    starts: list[StartJob]
    expired: list[str]
    load: LoadRequest | None
    stop_jobs: list[str]
    warn: list[tuple[str, float]] = []
    judge: list[str] = []
    postpone: list[tuple[QueueEntry, float]] = []


class Counts(msgspec.Struct, frozen=True):
    """
    Entries in memory; what waits for its destination's backoff counts as delayed.
    """

    ready: int
    active: int
    delayed: int


class HostBackoff(msgspec.Struct, frozen=True):
    """:ivar failures: In a row; ``until`` in epoch seconds."""

    failures: int
    until: float
