"""Jobs as the schedule sees them: credit, what they hold, how long they have lived."""

from __future__ import annotations

from jobctl.schedule.tracked import Item


class Job:
    """
    A running job.

    :ivar host: The one host it serves, ``None``: any.
    :ivar connections: Destinations it serves at a time.
    :ivar credit: Messages it may be handed.
    :ivar held: What it was handed and has no verdict yet, in that order.
    :ivar handed: Messages in all.
    :ivar started: Steady seconds, as is ``idle``: since when it has had nothing, ``None``: it has.
    :ivar stopping: It was told to stop.
    """

    __slots__ = (
        "channel",
        "connections",
        "credit",
        "handed",
        "held",
        "host",
        "id",
        "idle",
        "run",
        "started",
        "stopping",
    )

    def __init__(
        self, id: str, channel: str, host: str | None, connections: int, run: str | None, started: float
    ) -> None:
        self.id = id
        self.channel = channel
        self.host = host
        self.connections = max(connections, 1)
        self.run = run
        self.started = started
        self.credit = 0
        self.held: dict[str, Item] = {}
        self.handed = 0
        self.idle: float | None = None
        self.stopping = False

    def stop(self) -> None:
        """It takes no more."""
        self.stopping = True
        self.credit = 0


class Starting:
    """A job that was asked for and has not been heard of; ``since`` in steady seconds."""

    __slots__ = ("host", "run", "since")

    def __init__(self, host: str | None, run: str | None, since: float) -> None:
        self.host = host
        self.run = run
        self.since = since
