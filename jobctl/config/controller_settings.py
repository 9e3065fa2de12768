"""Settings of the Job Controller itself: where it keeps what, its limits."""

import msgspec


class JobControllerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """
    The ``[job_controller]`` section; paths are absolute.

    :ivar debug: Bits, see :mod:`jobctl.controller.debugging`.
    :ivar undo_window: Seconds in which an operator can take back a deletion, move, reroute or redirect;
        ``return_undo_window``: a return. 0: it is done at once and for ever.
    :ivar audit_keep: Seconds for which it is remembered what operators did.
    :ivar free_space: Octets that must stay free on the queue's disk for new mail to be accepted.
    :ivar fair_share: One of :data:`jobctl.mail.share.KINDS`; ``share``: weights by the name of the share.
    :ivar json_log: Path of the daemon's log as JSON lines, ``""``: none.
    :ivar log_rollover: Minutes after midnight, local time; -1: never.
    :ivar history_retention: Seconds for which finished messages can be looked up.
    """

    queue_directory: str
    control_socket: str
    log_directory: str
    max_cache_messages: int = 100_000
    debug: int = 0
    free_space: int = 64 * 1024 * 1024
    control_group: str | None = None
    control_readers: tuple[str, ...] = ()
    stop_timeout: float = 30
    fair_share: str = "sender_domain"
    share: dict[str, int] = {}
    json_log: str = ""
    log_rollover: int = 30
    history_retention: float = 30 * 86400
    undo_window: float = 600
    return_undo_window: float = 15
    audit_keep: float = 90 * 86400
