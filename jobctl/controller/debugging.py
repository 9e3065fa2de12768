"""
What the Job Controller logs more on an operator's wish: ``debug``, a sum of bits.

1: each frame that a channel program says; 2: with its keys; 4: each decision
of the schedule.  The original's other bits have no counterpart and do nothing.
While a bit is off, what it would show costs nothing: the methods are replaced
only as long as it is on.
"""

from typing import Any

from twisted.logger import Logger

log = Logger()

FRAMES, KEYS, DECISIONS = 1, 2, 4
# Characters of one frame in the log.
_MOST = 2000


class Debugging:
    """:param controller: Whose handler and schedule are listened to."""

    def __init__(self, controller: Any) -> None:
        self._handler = controller.handler
        self._scheduler = controller.scheduler
        self._keys = False

    def set(self, bits: int) -> None:
        """From now on show this."""
        self._keys = bool(bits & KEYS)
        _replace(self._handler, "job_frame", self._frame if bits & (FRAMES | KEYS) else None)
        _replace(self._scheduler, "plan", self._plan if bits & DECISIONS else None)

    def _frame(self, job: Any, frame: Any, content: bytes) -> None:
        what = repr(frame)[:_MOST] if self._keys else type(frame).__name__.lower()
        log.info(
            "{job}: debug: {what}, id {entry}, {octets} octets",
            job=job.id,
            what=what,
            entry=getattr(frame, "id", ""),
            octets=len(content),
        )
        type(self._handler).job_frame(self._handler, job, frame, content)

    def _plan(self, *arguments: Any) -> Any:
        plan = type(self._scheduler).plan(self._scheduler, *arguments)
        if plan.handouts or plan.starts or plan.stop_jobs or plan.expired or plan.warn or plan.load:
            log.info(
                "debug: schedule: hand out {handouts}, start {starts}, stop {stops}, expired {expired}, "
                "warn {warn}, load {load}",
                handouts=plan.handouts,
                starts=[(start.channel, start.host, start.run) for start in plan.starts],
                stops=plan.stop_jobs,
                expired=plan.expired,
                warn=plan.warn,
                load=plan.load,
            )
        return plan


def _replace(owner: Any, name: str, method: Any) -> None:
    """Put a method before the class's own; ``None``: take it away."""
    vars(owner).pop(name, None)
    if method is not None:
        setattr(owner, name, method)
