"""
The settings everything else works from: frozen, typed, defaults applied.

They travel to channel programs as JSON (``hello``), so every field is a plain
value.  All times are seconds, all sizes octets unless said otherwise.  The
loader makes these; nothing else does, except tests.
"""

import msgspec

from jobctl.config.controller_settings import JobControllerSettings
from jobctl.config.header_settings import HeaderRule
from jobctl.config.log_options import LogSettings
from jobctl.config.notification_settings import NotificationSettings
from jobctl.config.tcp_settings import TcpOptions
from jobctl.config.tls_rules import TlsRule
from jobctl.mail.envelope import Priority

# The channel through which messages with many recipients are routed later (``expandlimit``); the
# controller does that itself.
REPROCESS = "reprocess"
# Retry intervals in seconds by priority name; the last repeats (job-controller: backoff, normalbackoff ...).
Backoff = dict[str, tuple[float, ...]]
# An ``after`` from here on is a time, in epoch seconds (2001 and later); less is a number of seconds.
ABSOLUTE = 1e9
# Delivery windows: (from, to) in minutes of the local day; to <= from goes over midnight.
Hours = tuple[tuple[int, int], ...]


class ChannelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """
    One channel, with ``defaults`` and its class applied.

    :ivar smtp: Which line ends are accepted: ``nosmtp``, ``crlf``, ``crorlf``, ``lf`` (CRLF or bare LF),
        ``cr`` (CRLF or bare CR).
    :ivar local_host: The name this host goes by on this channel: ``local_host_alias``, else the
        official host name of channel ``l``.
    :ivar gateway: ``daemon`` resolved: a name or ``[address]``; ``None`` connects to the recipient's host.
    :ivar copies: ``single``, ``single_sys`` or ``multiple``: one entry per recipient, host, channel.
    :ivar master_command: Argument vector of the class (or the channel); ``()``: none.
    :ivar channel_class: Pattern of its class, ``*`` for none; ``own_programs``: which of the commands its
        own section gives.
    :ivar transport: ``tcp``, ``command:...`` or ``channel:NAME`` for programs that speak on stdio; ``None``
        for programs with sockets of their own.
    :ivar rate_per_host: Messages in so many seconds.
    :ivar notices: Ages in seconds by priority name; the last one ends the message's life.
    :ivar max_attempts: Counted attempts that end it, ``None``: any number.
    :ivar jitter: Up to this part of a retry interval is added to it.
    :ivar after: Delay of the first attempt by priority name in seconds, from 10^9 on a time: epoch seconds.
    :ivar delivery: Hours by priority name (urgent, normal, nonurgent); none: any.
    :ivar demotion: Largest size in octets by priority name; what is larger goes with the next lower one.
    :ivar switchchannel: ``switchchannel``, ``allowswitchchannel`` or ``noswitchchannel``.
    :ivar submit: Takes submissions (RFC 6409).
    :ivar defaulthost: Domain of senders without one, and of recipients.
    :ivar keywords: Every other keyword given, by name, as in the file.
    """

    name: str
    official_host_name: str
    local_host: str
    additional_host_names: tuple[str, ...] = ()
    # protocol and next hop
    smtp: str = "nosmtp"
    lmtp: bool = False
    gateway: str | None = None
    port: int = 25
    mx: str = "defaultmx"  # nonrandommx, randommx, nomx, defaultmx, nodns
    nameservers: tuple[str, ...] = ()
    interfaceaddress: str | None = None
    sourceaddresses: tuple[str, ...] = ()
    private: bool | None = None  # whether names may lead to private addresses; None: not on port 25
    lastresort: str | None = None
    ehlo: str | None = None  # ehlo, checkehlo, noehlo
    refuseehlo: bool = False
    eight: str = "eightnegotiate"
    long_lines: str = ""  # truncatesmtplonglines, wrapsmtplonglines, rejectsmtplonglines; "": they pass
    linelength: int | None = None  # lines longer than that are encoded
    # header fields
    headerread: tuple[HeaderRule, ...] = ()
    headertrim: tuple[HeaderRule, ...] = ()
    maxheaderaddrs: int | None = None
    maxheaderchars: int | None = None
    headerlinelength: int | None = None
    maxprocchars: int | None = None
    # the source channel, and what comes in through it
    switchchannel: str = "allowswitchchannel"
    tlsswitchchannel: str | None = None
    saslswitchchannel: str | None = None
    submit: bool = False
    authrewrite: int = 0
    remotehost: str = "noremotehost"  # remotehost, authhost
    defaulthost: tuple[str, ...] = ()
    receivedfor: bool = True
    receivedfrom: bool = False
    # TLS and AUTH towards the next hop
    tls_policy: str | None = None  # none, may, must, verify; None: by the keywords
    implicit_tls: bool = False
    tls_ca_file: str | None = None
    tls_server_name: str | None = None
    tls_rules: dict[str, TlsRule] = {}  # [tls_policy], of channels that send by SMTP
    ip_access: dict[str, str] = {}  # [mapping] where it has IP_ACCESS, of channels that send by SMTP
    use_ip_access: int = 0  # 1: its probes say which attempt it is
    auth_username: str | None = None
    auth_password_file: str | None = None
    auth_mechanism: str = "auto"
    recipients_file: str | None = None  # who can be written to, if not anybody
    existingmaildirs: bool = False  # only who has a Maildir
    maildir: str | None = None  # where a maildir channel delivers
    # programs
    channel_class: str = "*"
    own_programs: tuple[str, ...] = ()
    transport: str | None = None
    master_command: tuple[str, ...] = ()
    slave_command: tuple[str, ...] = ()
    max_life_time: float = 3600
    max_life_askwork: int = 20000
    pool: str = "DEFAULT"
    maxjobs: int = 100
    threaddepth: int = 10
    max_connections_per_host: int | None = None
    rate_per_host: tuple[int, float] | None = None
    group_by_mx: bool = False
    filesperjob: int = 0
    addrsperjob: int = 0
    anon_host: bool = False
    user: str | None = None
    limit_memory: int | None = None  # MiB
    limit_open_files: int | None = None
    limit_cpu: float | None = None
    limit_file_size: int | None = None  # MiB
    # copies, retries, expiry
    copies: str = "single_sys"
    addrsperfile: int | None = None
    backoff: Backoff = {}
    notices: dict[str, tuple[float, ...]] = {}
    max_attempts: int | None = None
    jitter: float = 0.05
    after: dict[str, float] = {}
    deferred: bool = False
    delivery: dict[str, Hours] = {}
    demotion: dict[str, int] = {}
    # limits on what comes in through this channel, and what may be queued to it
    acceptalladdresses: bool = False
    accepttemporaryfailures: bool = False
    recipientlimit: int | None = None
    recipientcutoff: int | None = None
    deferralrejectlimit: int | None = None
    transactionlimit: int | None = None
    disconnecttransactionlimit: int | None = None
    disconnectrecipientlimit: int | None = None
    disconnectrejectlimit: int | None = None
    disconnectbadcommandlimit: int | None = None
    disconnectbadauthlimit: int | None = None
    blocklimit: int | None = None
    linelimit: int | None = None
    sourceblocklimit: int | None = None
    futurerelease: float = 0
    deliverby: float | None = None
    holdlimit: int | None = None
    expandlimit: int | None = None
    # notification, logging, debugging
    sendpost: str = "nosendpost"  # sendpost, copysendpost, errsendpost, nosendpost
    warnpost: str = ""  # the same words for warnings; "": as sendpost
    posthead: str = "postheadbody"  # postheadonly
    addresses: str = "useintermediate"  # includefinal, suppressfinal
    notificationchannel: str = "process"
    returnaddress: str = ""
    returnpersonal: str = ""
    master_debug: bool = False
    slave_debug: bool = False
    logging: bool = False
    options: TcpOptions = TcpOptions()
    keywords: dict[str, object] = {}

    @property
    def tls_client(self) -> str:
        """Towards a next hop that no rule speaks for: ``none``, ``may``, ``must`` or ``verify``."""
        return self.tls_policy or self._insistence("tls", "client")

    @property
    def tls_server(self) -> str:
        """Towards clients: ``none``, ``may`` or ``must``."""
        return self._insistence("tls", "server")

    @property
    def sasl_client(self) -> str:
        """Whether to authenticate at the next hop: ``none``, ``may`` or ``must``; a gateway's name says may."""
        kept = self._insistence("sasl", "client")
        return (
            "must" if kept == "none" and self.auth_username and "nosaslclient" not in self.keywords else kept
        )

    @property
    def sasl_server(self) -> str:
        """Whether clients have to: ``none``, ``may`` or ``must``."""
        return self._insistence("sasl", "server")

    def _insistence(self, what: str, side: str) -> str:
        for word in ("must", "may"):
            if f"{word}{what}" in self.keywords or f"{word}{what}{side}" in self.keywords:
                return word
        return "none"


class PoolSettings(msgspec.Struct, frozen=True):
    """Slots that channels share; ``job_limit`` is the most programs at a time."""

    name: str
    job_limit: int = 10


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """
    One service of the dispatcher: where mail comes in.

    :ivar listen: Twisted endpoint strings.
    :ivar relay_from: Networks whose clients may send to domains that are not ours.
    :ivar min_procs: Server jobs that share the port.
    :ivar max_conns: Most connections per server job.
    :ivar tls_private_key: ``None``: it is in the file of the certificate.
    :ivar password_file: Who checks passwords, or ``pam_service`` or ``auth_url`` does; at most one is given.
    :ivar introspection_user: Member of an answer of ``introspection_url`` that has the user's name.
    :ivar auth_timeout: Seconds that PAM or a verifier may take.
    :ivar auth_cache_time: Seconds for which a yes of a verifier is believed.
    """

    name: str
    listen: tuple[str, ...]
    channel: str
    relay_from: tuple[str, ...] = ()
    min_procs: int = 1
    max_conns: int = 1000
    backlog: int = 1024
    max_conns_per_address: int | None = None
    proxy_from: tuple[str, ...] = ()
    xclient_from: tuple[str, ...] = ()
    tls_certificate: str | None = None
    tls_private_key: str | None = None
    tls_client_ca: str | None = None
    implicit_tls: bool = False
    password_file: str | None = None
    pam_service: str | None = None
    auth_url: str | None = None
    introspection_url: str | None = None
    introspection_client_file: str | None = None
    introspection_user: str = "username"
    auth_ca_file: str | None = None
    auth_timeout: float = 20
    auth_cache_time: float = 60
    plaintext_auth: bool = False

    @property
    def knows_users(self) -> bool:
        """Whether there is anybody to check passwords or tokens."""
        sources = (self.password_file, self.pam_service, self.auth_url, self.introspection_url)
        return any(source is not None for source in sources)


# Bit 4 of use_permanent_error.
RECIPIENT_LIMIT_BIT = 16


class MtaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """
    The ``[mta]`` section: what applies to all channels.

    :ivar block_limit: Octets here, 0 = none.
    :ivar asks_all: Also clients that may relay are asked about each recipient: some can be forbidden or unknown.
    :ivar postmaster: Sender of notifications in their header, and who gets copies; ``""``: postmaster@ this host.
    :ivar content_return_limit: Octets; larger messages are returned by their header alone.
    :ivar blocked_mail_from_ips: Networks whose addresses count as absent where sender domains are looked up.
    :ivar access_orcpt: Which access probes end with the original recipient.
    :ivar use_ip_access: 1: probes of IP_ACCESS say which attempt it is; channels have it too.
    :ivar use_permanent_error: Bits: 16, recipients beyond ``recipientlimit`` are refused for good.
    """

    block_limit: int = 0
    max_received_lines: int = 50
    received_domain: str | None = None
    loop: str = ""
    mappings: dict[str, str] = {}
    asks_all: bool = False
    postmaster: str = ""
    return_personal: str = ""
    return_delivery_history: bool = True
    content_return_limit: int = 1024 * 1024
    blocked_mail_from_ips: tuple[str, ...] = ()
    access_orcpt: int = 0
    use_permanent_error: int = 0
    use_ip_access: int = 0


class Rule(msgspec.Struct, frozen=True):
    """
    One line of ``[rewrite]``.

    :ivar pattern: As written; ``line`` where, for ``test rewrite``.
    :ivar template: A channel's name, or a template such as ``$U%$D@tcp-daemon``.
    """

    pattern: str
    template: str
    line: int = 0


class RetryRule(msgspec.Struct, frozen=True, kw_only=True):
    """
    One ``[[retry]]``: what it does not say (``None``) is as for all mail of the channel.

    :ivar where: Selector of the messages that are meant (``docs/selectors.md``).
    :ivar backoff: Intervals in seconds; the last repeats.
    :ivar lifetime: Age in seconds at which mail is returned.
    :ivar notices: Ages in seconds, in place of those of the channel.
    :ivar line: Where it stands in the file.
    """

    where: str
    backoff: tuple[float, ...] | None = None
    jitter: float | None = None
    max_attempts: int | None = None
    lifetime: float | None = None
    notices: tuple[float, ...] | None = None
    line: int = 0


class Note(msgspec.Struct, frozen=True):
    """Something ``jobctl test config`` reports without refusing: an option accepted that does not act yet."""

    line: int
    key: str
    text: str


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """
    A whole checked configuration.

    :ivar lines: Where each key stands in the file, by its dotted name in lower case.
    """

    path: str
    controller: JobControllerSettings
    mta: MtaSettings
    pools: dict[str, PoolSettings]
    channels: dict[str, ChannelSettings]
    services: dict[str, ServiceSettings]
    rules: tuple[Rule, ...]
    notification: NotificationSettings = NotificationSettings()
    tls_policy: dict[str, TlsRule] = {}
    retry: tuple[RetryRule, ...] = ()
    log: LogSettings = LogSettings()
    notes: tuple[Note, ...] = ()
    lines: dict[str, int] = {}

    def channel(self, name: str) -> ChannelSettings:
        """
        A channel's settings, also of one that mail is queued to and that is not configured (any more).

        That one has no programs, and the defaults for everything else.
        """
        channel = self.channels.get(name)
        return channel or ChannelSettings(name=name, official_host_name=name, local_host=self.local_host)

    @property
    def local_host(self) -> str:
        """The name of this host: the official host name of channel ``l``."""
        return self.channels["l"].official_host_name


# What the original waits between attempts (job-controller: minutes by priority).
DEFAULT_BACKOFF: Backoff = {
    "urgent": tuple(60.0 * m for m in (30, 60, 60, 120, 120, 120, 240)),
    "normal": tuple(60.0 * m for m in (60, 120, 120, 240, 240, 240, 480)),
    "nonurgent": tuple(60.0 * m for m in (120, 240, 240, 480, 480, 480, 960)),
}
DEFAULT_NOTICES: tuple[float, ...] = tuple(86400.0 * days for days in (3, 6, 9, 12))


# Second and third class share what is said of ``nonurgent``.
_WORDS = tuple(Priority(min(priority, Priority.NONURGENT)).word for priority in Priority)


def by_priority(
    table: dict[str, tuple[float, ...]], default: dict[str, tuple[float, ...]], priority: Priority
) -> tuple[float, ...]:
    """The list for a priority; second and third class share that of ``nonurgent``."""
    word = _WORDS[priority]
    return table[word] if word in table else default[word]
