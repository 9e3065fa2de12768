"""The changes that can be asked of the store, as the writer's thread gets them."""

from typing import Any

from twisted.internet.defer import Deferred

from jobctl.mail.acts import Act
from jobctl.mail.entry import Settlement, Submission


class Operation:
    """
    One change and the Deferred that tells of its commit.

    :ivar done: Fires after the commit.
    :ivar number: Of the entry that it changes, 0 for none; the planner finds it out.
    :ivar kept: Content files made durable for it: by place of the submission in the operation, name and
        checksum.  They outlive a failed commit, so that the operation can be tried again.
    """

    __slots__ = ("done", "kept", "number")

    def __init__(self) -> None:
        self.done: Deferred[Any] = Deferred()
        self.kept: dict[int, tuple[str, int]] = {}
        self.number = 0


class Enqueue(Operation):
    __slots__ = ("submission",)

    def __init__(self, submission: Submission) -> None:
        super().__init__()
        self.submission = submission


class Settle(Operation):
    """``at`` in epoch seconds; looked at only when the settlement changes the state."""

    __slots__ = ("at", "settlement")

    def __init__(self, settlement: Settlement, at: float) -> None:
        super().__init__()
        self.settlement = settlement
        self.at = at


class Move(Operation):
    __slots__ = ("channel", "host", "id")

    def __init__(self, id: str, channel: str, host: str) -> None:
        super().__init__()
        self.id = id
        self.channel = channel
        self.host = host


class Reprioritize(Operation):
    __slots__ = ("id", "priority")

    def __init__(self, id: str, priority: int) -> None:
        super().__init__()
        self.id = id
        self.priority = priority


class SetStopped(Operation):
    """``since`` in epoch seconds."""

    __slots__ = ("author", "channel", "since", "stopped")

    def __init__(self, channel: str, stopped: bool, author: str, since: float) -> None:
        super().__init__()
        self.channel = channel
        self.stopped = stopped
        self.author = author
        self.since = since


class SetBackoff(Operation):
    __slots__ = ("channel", "failures", "host", "reply", "until")

    def __init__(self, channel: str, host: str, failures: int, until: float, reply: str) -> None:
        super().__init__()
        self.channel = channel
        self.host = host
        self.failures = failures
        self.until = until
        self.reply = reply


class Remember(Operation):
    """``value`` is JSON text; ``None`` forgets."""

    __slots__ = ("key", "topic", "value")

    def __init__(self, topic: str, key: str, value: str | None) -> None:
        super().__init__()
        self.topic = topic
        self.key = key
        self.value = value


class WriteAct(Operation):
    """Records of acts before ``oldest`` (epoch seconds) are forgotten."""

    __slots__ = ("act", "oldest")

    def __init__(self, act: Act, oldest: float) -> None:
        super().__init__()
        self.act = act
        self.oldest = oldest


class SetAside(Operation):
    """Entries (their numbers) that cannot be read, with why."""

    __slots__ = ("damaged",)

    def __init__(self, damaged: list[tuple[int, str]]) -> None:
        super().__init__()
        self.damaged = damaged


class Mend(Operation):
    """An entry that was set aside (its number) goes back into the queue, or out of it."""

    __slots__ = ("back", "entry")

    def __init__(self, entry: int, back: bool) -> None:
        super().__init__()
        self.entry = entry
        self.back = back


class Swept(Operation):
    """Content files that no row named any more have been removed."""

    __slots__ = ("files",)

    def __init__(self, files: list[str]) -> None:
        super().__init__()
        self.files = files
