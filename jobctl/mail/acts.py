"""Who did what to the queue: the records of operators' acts."""

from enum import StrEnum

import msgspec


class Stage(StrEnum):
    """How far an act has come; ``interrupted`` by the end of the Job Controller."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    UNDONE = "undone"


class Act(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    One act of one operator.

    :ivar number: Unique for ever, growing; what ``undo`` and ``cancel`` take.
    :ivar when: Epoch seconds, as are ``ended`` and ``undo_until``.
    :ivar who: Login name, by the kernel's word; ``uid`` its number.
    :ivar what: ``delete``, ``stop``, ``reload`` ...
    :ivar subject: Which messages or channels: ids, a selector, a pattern.
    :ivar text: Where to, why, or what else was said.
    :ivar found: Messages looked at that were meant; ``done`` of them changed, ``unchanged`` were so already,
        ``failed`` could not be.
    :ivar ids: The changed ones, where there are few.
    :ivar undo_until: Until when it can be undone; ``None``: it cannot.
    """

    number: int
    when: float
    who: str
    what: str
    subject: str = ""
    text: str = ""
    uid: int = 0
    stage: Stage = Stage.DONE
    ended: float | None = None
    found: int = 0
    done: int = 0
    unchanged: int = 0
    failed: int = 0
    ids: tuple[str, ...] = ()
    undo_until: float | None = None
