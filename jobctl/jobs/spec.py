"""Values of a job: what to start, what all jobs share, and how one ended."""

import msgspec

from jobctl.config.settings import ChannelSettings, MtaSettings, ServiceSettings


class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """
    One run of a channel program that is to be.

    :ivar id: ``[0-9A-Za-z_.-]+``, unique in the life of the controller.
    :ivar role: ``master`` or ``slave``.
    :ivar argv: The program's argument vector; a name without a slash is looked up in PATH.
    :ivar host: The one destination of this run, when the program's stdio is joined to it.
    :ivar service: Of a server program.
    :ivar offers: Of a slave that belongs to no service: whose certificate and users it may use.
    :ivar others: Of a slave: the further channels that its clients can come to (``switchchannel`` ...).
    :ivar listen: Descriptors of listening sockets to hand over; they stay ours too.
    :ivar debug: Have the program show its dialogue on stderr (``master_debug``, ``slave_debug``).
    :ivar run: Whatever the starter wants to remember with it; not used here.
    :ivar in_clear: As :attr:`jobctl.jobprotocol.frames.HelloController.in_clear`.
    :ivar attempt: Of a program that is joined to a host: which one it is for the first message, -1: not known.
    :ivar environment: Variables beside the allow-list, such as ``PMDF_CHANNEL_OPTION``.
    """

    id: str
    channel: ChannelSettings
    role: str
    argv: tuple[str, ...]
    host: str | None = None
    service: ServiceSettings | None = None
    offers: ServiceSettings | None = None
    others: tuple[ChannelSettings, ...] = ()
    listen: tuple[int, ...] = ()
    debug: bool = False
    run: str | None = None
    in_clear: str = ""
    attempt: int = -1
    environment: dict[str, str] = {}

    @property
    def next_hop(self) -> str:
        """Whom its stdio is to be joined to, ``""``: nobody is named."""
        return self.channel.gateway or self.host or ""

    def source(self, said: str) -> str:
        """The channel that something comes in by: what a program says, if its clients can come to that."""
        known = said != self.channel.name and any(one.name == said for one in self.others)
        return said if known else self.channel.name


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """
    How a job ended.

    :ivar exit_status: ``None`` when a signal ended it, or when it was attached and just left.
    :ivar signal: The signal's number, or ``None``.
    :ivar greeted: It said hello; ``worked``: it gave a verdict or submitted mail.
    :ivar stopped: It was asked to stop; ``lost``: because its connection was lost.
    :ivar text: In words that follow "channel program": ``was killed by SIGKILL``, ``exited with
        status 78: no such channel``, ``broke the protocol: ...``.
    """

    exit_status: int | None
    signal: int | None
    greeted: bool
    worked: bool
    text: str
    stopped: bool = False
    lost: bool = False


class SupervisorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """
    What supervision needs to know; times in seconds.

    :ivar mta: Told to slaves in their hello.
    :ivar sent_directory: ``<queue_directory>/sent``, for :mod:`jobctl.jobs.journal`.
    :ivar stop_timeout: From asking a job to stop until SIGTERM; then ``kill_after`` until SIGKILL.
    :ivar hello_timeout: In which a program must say hello.
    :ivar silence: A job that holds work and is silent for so long is stuck.
    :ivar leave: Until SIGTERM for a program with nothing left to do: its job pipe, or the job at its
        other side, is gone.
    :ivar drain: How long something left behind by a program may hold its pipes open.
    :ivar connect_timeout: For each address; RFC 5321 4.5.3.2 gives none, hosts answer in 30 or never.
    :ivar linger: How long what a program wrote last may take to leave through its connection.
    """

    sent_directory: str
    mta: MtaSettings = MtaSettings()
    stop_timeout: float = 30
    kill_after: float = 5
    hello_timeout: float = 30
    silence: float = 600
    leave: float = 5
    drain: float = 2
    connect_timeout: float = 30
    linger: float = 60
