"""What every job of a supervisor shares."""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from jobctl.jobs.spec import Ended, SupervisorSettings
from jobctl.jobs.unwilling import Unwilling


class Abortable(Protocol):
    """Something beside the jobs that must be gone before supervision is."""

    def abort(self) -> None:
        """End at once; ``release`` follows."""


class Shared(msgspec.Struct):
    """
    :ivar settings: As they are now; a job looks at them when it needs one.
    :ivar clock: For timers (IReactorTime); the reactor itself outside of tests.
    :ivar handler: :class:`jobctl.interfaces.IJobHandler`.
    :ivar ended: Called with a job and how it ended; tells the handler.
    :ivar keep: Called with a connection or a peer program that begins; ``release`` when it is gone.
    :ivar hunt: Called with the id of a job whose program is gone: what that has left behind is killed.
    :ivar unwilling: Next hops that opened no session for a program on a pipe.
    :ivar connections: How many have been begun for masters, by channel.
    """

    reactor: Any
    clock: Any
    handler: Any
    settings: SupervisorSettings
    ended: Callable[[Any, Ended], None]
    keep: Callable[[Abortable], None]
    release: Callable[[Abortable], None]
    hunt: Callable[[str], None]
    unwilling: Unwilling
    connections: dict[str, int] = {}
