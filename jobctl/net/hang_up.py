"""SIGHUP from the first moment: remembered until there is somebody to read the configuration again."""

import signal
from collections.abc import Callable
from typing import Any

# Whether one came that nobody has heard of yet.
_came = False


def remember() -> None:
    """From now on the signal ends nothing; :func:`hear` tells of it."""
    signal.signal(signal.SIGHUP, _note)
    _let_in()


def hear(told: Callable[[], None]) -> None:
    """
    Have each signal told, one that is remembered at once.

    :param told: Called between two instructions of whatever runs in the main thread.
    """
    global _came
    signal.signal(signal.SIGHUP, lambda number, frame: told())
    _let_in()
    if _came:
        _came = False
        told()


def shut_out() -> None:
    """
    One that comes now waits in the kernel, also while another program is begun in this process.

    As long as that has no handler, the signal would end it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def _note(number: int, frame: Any) -> None:
    global _came
    _came = True


def _let_in() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
