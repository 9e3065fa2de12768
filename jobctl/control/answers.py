"""What a client is told when an operation fails."""

import os
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.control import wire
from jobctl.errors import ConfigError, JobctlError, StoreError, StoreFull, UsageError

_log = Logger()


def error_of(request: int, failure: Failure) -> bytes:
    """The answer to a request whose operation failed; what is not known here is a bug and is logged."""
    why: Any = failure.value
    if isinstance(why, UsageError):
        text, exit_status = str(why), why.exit_status
    elif isinstance(why, StoreFull):
        text, exit_status = (
            "452 4.3.1 the queue's disk is full; nothing was changed, try again later",
            os.EX_TEMPFAIL,
        )
    elif isinstance(why, StoreError):
        text, exit_status = (
            f"451 4.3.0 the queue cannot do that now: {why}; nothing was changed",
            os.EX_TEMPFAIL,
        )
    elif isinstance(why, ConfigError):
        text, exit_status = str(why), os.EX_CONFIG
    elif isinstance(why, JobctlError) and hasattr(why, "code"):
        text = f"{why.code} {getattr(why, 'status', '')} {getattr(why, 'text', why)}"
        exit_status = _of_reply(why.code, getattr(why, "status", ""))
    else:
        _log.failure("operation failed", failure)
        text, exit_status = "the Job Controller failed at this; its log says how", os.EX_SOFTWARE
    return wire.error(request, " ".join(text.split()), exit_status)


def _of_reply(code: int, status: str) -> int:
    """The exit status that means the same as an SMTP reply."""
    if code < 500:
        return os.EX_TEMPFAIL
    if status == "5.1.2":
        return os.EX_NOHOST
    return os.EX_NOUSER if status.startswith("5.1.") else os.EX_DATAERR
