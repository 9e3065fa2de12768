"""Exceptions, sorted by who must act."""


class JobctlError(Exception):
    """The root of what this package raises on purpose."""


class ConfigError(JobctlError):
    """
    The operator erred in the configuration; nothing was started or changed.

    :ivar problems: Every mistake found, each one line naming file, line and key.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class UsageError(JobctlError):
    """The operator asked for something that cannot be: the text says what to do instead."""

    def __init__(self, text: str, exit_status: int = 64) -> None:
        super().__init__(text)
        self.exit_status = exit_status


class ProtocolViolation(JobctlError):
    """A peer or child broke the rules; ends that session or job alone."""


class ChannelViolation(ProtocolViolation):
    """A channel program sent what the job protocol does not allow."""


class StoreError(JobctlError):
    """The store could not do what was asked; what it held before is still there."""


class StoreFull(StoreError):
    """No room: nothing was kept, the caller answers 452 4.3.1."""


class StoreBusy(StoreError):
    """Another controller has this queue open."""


class TlsFailed(Exception):
    """The handshake, or a record after it, was not as it should be; the connection is of no use any more."""
