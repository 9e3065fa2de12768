"""What the operator is told when something cannot be: one line that says what to do, one exit status each."""

import os
from collections.abc import Iterable

from jobctl.errors import UsageError


class ControlError(UsageError):
    """A request was not carried out; the text says what to do."""


class NoDaemon(ControlError):
    """Nobody listens at the control socket: the Job Controller does not run."""

    def __init__(self, text: str) -> None:
        super().__init__(text, os.EX_UNAVAILABLE)


class NoAnswer(ControlError):
    """The Job Controller did not answer; what was asked for may or may not have been done."""

    def __init__(self, text: str) -> None:
        super().__init__(text, os.EX_TEMPFAIL)


def unknown_channel(name: str, known: Iterable[str]) -> UsageError:
    """No configured channel has this name, or matches this pattern."""
    import difflib  # late: every command imports this module and few err

    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are: {_some(names)}"
    return UsageError(f"channel {name} is not configured; {hint}", os.EX_CONFIG)


def unknown_id(entry: str) -> UsageError:
    """No message has this id, or it has left the queue."""
    if entry[:1].isdigit():
        return UsageError(
            f"{entry} is no id: numbers of a listing count at the prompt alone ('jobctl qm'); ids begin with Q",
            os.EX_NOINPUT,
        )
    return UsageError(
        f"there is no message {entry} in the queue: it has left it or never was; see 'jobctl qm directory'",
        os.EX_NOINPUT,
    )


def deleted_lately(entry: str, what: str, who: str, operation: int) -> UsageError:
    """No message in a list, but one that can be brought back."""
    done = "deleted" if what == "delete" else "returned"
    return UsageError(
        f"message {entry} was {done} by {who}; 'jobctl undo {operation}' brings it back, with all that "
        "was changed with it",
        os.EX_NOINPUT,
    )


def unknown_operation(number: int) -> UsageError:
    """No operator's act has this number."""
    return UsageError(f"there is no operation {number}; see 'jobctl qm operations'", os.EX_NOINPUT)


def unknown_hold_rule(number: int) -> UsageError:
    """No hold rule in force has this number."""
    return UsageError(f"there is no hold rule {number}; see 'jobctl hold list'", os.EX_NOINPUT)


def bad_address(address: str, why: object) -> UsageError:
    """Not an address that mail can be sent to."""
    return UsageError(f"the address {address!r} will not do: {why}", os.EX_DATAERR)


def _some(names: list[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
