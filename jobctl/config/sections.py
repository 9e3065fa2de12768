"""Keys of every section but the channels' keywords, in one table each."""

from jobctl.config.keys import Key, KeyTable, Kind, Status
from jobctl.config.keywords_security import LATER, POLICIES
from jobctl.config.log_options import LOG
from jobctl.mail.share import KINDS

_NO_PORT = "commands reach the controller through control_socket"
_NO_SCAN = "the queue is a database: there is nothing to scan"
_NO_STRESS = "stress is not reported to the controller yet"


def _key(
    name: str,
    kind: Kind,
    sentence: str,
    default: str = "none",
    low: float | None = None,
    high: float | None = None,
    aliases: tuple[str, ...] = (),
) -> Key:
    return Key(
        name=name,
        kind=kind,
        sentence=sentence,
        default=default,
        low=low,
        high=high,
        field=name,
        aliases=aliases,
    )


def _inert(name: str, kind: Kind, sentence: str, reason: str, aliases: tuple[str, ...] = ()) -> Key:
    return Key(name=name, kind=kind, sentence=sentence, status=Status.INERT, reason=reason, aliases=aliases)


_JOB_LIMIT = _key("job_limit", Kind.INTEGER, "Most programs of the pool at a time.", "10", 1, 10_000)
_LIFE_TIME = _key(
    "max_life_time", Kind.SECONDS, "Seconds a program may live.", "3600", 1, aliases=("max_life_age",)
)
_LIFE_ASKWORK = _key(
    "max_life_askwork", Kind.INTEGER, "Messages a program may get.", "20000", 1, aliases=("max_life_conns",)
)

CONTROLLER = KeyTable(
    "key of [job_controller]",
    (
        _key("queue_directory", Kind.TEXT, "Where the queue lies, relative to this file.", "var/queue"),
        _key("control_socket", Kind.TEXT, "The socket that commands use.", "var/control.sock"),
        _key("log_directory", Kind.TEXT, "Where logs are written.", "var/log"),
        _key("json_log", Kind.TEXT, "File for the daemon's log as JSON lines, too, relative to this file."),
        _key(
            "max_cache_messages",
            Kind.INTEGER,
            "Messages scheduled in memory.",
            "100000",
            10,
            aliases=("max_messages",),
        ),
        _key(
            "free_space",
            Kind.INTEGER,
            "Octets of disk that must stay free for mail to be accepted.",
            "67108864",
            0,
        ),
        _key("control_group", Kind.TEXT, "Group whose members may change the queue."),
        _key("control_readers", Kind.WORDS, "Users and groups who may look at the queue."),
        Key(
            name="log_rollover",
            kind=Kind.TIME_OF_DAY,
            sentence="When mail.log_current becomes mail.log_yesterday, and that part of mail.log.",
            default="00:30",
            field="log_rollover",
            source="AG63 (return job)",
        ),
        _key(
            "history_retention",
            Kind.SECONDS,
            "How long finished messages can be looked up; 0 = none are kept.",
            "P30D",
            0,
        ),
        _key("stop_timeout", Kind.SECONDS, "Seconds that programs get to stop.", "30", 0),
        _key(
            "undo_window",
            Kind.SECONDS,
            "For how long an operator can undo a deletion, move, reroute or redirect; until then what is deleted "
            "is kept aside. 0: not at all.",
            "PT10M",
            0,
        ),
        _key(
            "return_undo_window",
            Kind.SECONDS,
            "For how long an operator can undo a return; until then its notification waits. 0: not at all.",
            "PT15S",
            0,
        ),
        _key("audit_keep", Kind.SECONDS, "For how long it is remembered what operators did.", "P90D", 0),
        _key("job_limit", Kind.INTEGER, "job_limit of pools without one.", "10", 1, 10_000),
        _LIFE_TIME,
        _LIFE_ASKWORK,
        _key("job_pool", Kind.TABLE, "Pools by name."),
        Key(
            name="fair_share",
            kind=Kind.CHOICE,
            sentence="Whose mail takes turns in a channel: that of each sender's domain, authenticated user or "
            "channel that it came in by.",
            choices=KINDS,
            default="sender_domain",
            field="fair_share",
        ),
        _key("share", Kind.TABLE, "Shares by name."),
        _key("channel_class", Kind.TABLE, "Programs by channel pattern."),
        _inert("tcp_ports", Kind.INTEGER, "Port for requests.", _NO_PORT, ("tcp_port",)),
        _inert("secret", Kind.TEXT, "Shared secret of requests.", "the peer's user is asked of the system"),
        _inert("interface_address", Kind.TEXT, "Address for requests.", _NO_PORT),
        _inert("synch_time", Kind.TEXT, "Interval between scans of the queue.", _NO_SCAN, ("sync_time",)),
        _inert(
            "rebuild_parallel_channels",
            Kind.INTEGER,
            "Directories scanned at a time.",
            _NO_SCAN,
            ("rebuild_parallel_channel",),
        ),
        _key(
            "debug",
            Kind.INTEGER,
            "Bits: what more is logged: 1 frames of programs, 2 with their keys, 4 the schedule's decisions.",
            "0",
            0,
        ),
        _inert("use_nslog", Kind.SWITCH, "Log through another log.", "the controller has its own log"),
        *(
            _inert(name, Kind.NUMBER, "Handling of an overloaded message store.", _NO_STRESS)
            for name in (
                "stressblackout",
                "stressfactor",
                "unstressfactor",
                "stressjobs",
                "unstressjobs",
                "stresstime",
                "unstresstime",
            )
        ),
    ),
)

POOL = KeyTable("key of a pool", (_JOB_LIMIT,))

SHARE = KeyTable(
    "key of a share",
    (_key("weight", Kind.INTEGER, "How many times as much as another share it gets.", "1", 1, 1000),),
)

CHANNEL_CLASS = KeyTable(
    "key of a channel class",
    (
        _key("master_command", Kind.COMMAND, "Program that takes mail out."),
        _key("slave_command", Kind.COMMAND, "Program that brings mail in."),
        _key("transport", Kind.TEXT, "What its standard input and output are joined to."),
        _LIFE_TIME,
        _LIFE_ASKWORK,
        _key("limit_memory", Kind.INTEGER, "MiB of memory of each program.", "as the daemon", 16),
        _key("limit_open_files", Kind.INTEGER, "Descriptors of each program.", "as the daemon", 16),
        _key("limit_cpu", Kind.SECONDS, "CPU time of a program's whole life.", "as the daemon", 1),
        _key("limit_file_size", Kind.INTEGER, "MiB of the largest file written.", "as the daemon", 1),
        _key("anon_host", Kind.SWITCH, "1: destination hosts are not told apart.", "0"),
        *(
            _key(f"{priority}_delivery", Kind.HOURS, f"Hours in which {priority} mail goes out.", "any")
            for priority in ("urgent", "normal", "nonurgent")
        ),
    ),
)

SERVICE = KeyTable(
    "key of a service",
    (
        _key(
            "listen",
            Kind.WORDS,
            "Where it listens: `tcp:2525:interface=127.0.0.1`, `tcp6:`, `unix:`, `systemd:`.",
        ),
        _key(
            "tcp_ports", Kind.WORDS, "Port numbers to listen on, in place of listen.", aliases=("tcp_port",)
        ),
        _key("channel", Kind.TEXT, "Source channel of what comes in.", "tcp_local"),
        _key("relay_from", Kind.NETWORKS, "Networks that may send to domains that are not ours."),
        _key("min_procs", Kind.INTEGER, "Server programs that share the port.", "1", 1, 1000),
        _key("max_conns", Kind.INTEGER, "Most connections of one program.", "1000", 1, 1_000_000),
        _key("backlog", Kind.INTEGER, "Connections the system keeps waiting.", "1024", 1, 65535),
        _key("max_conns_per_address", Kind.INTEGER, "Most connections of one client address.", "no limit", 1),
        _key(
            "proxy_from",
            Kind.NETWORKS,
            "Front ends that begin each connection with a PROXY header; nothing of others is believed.",
        ),
        _key("xclient_from", Kind.NETWORKS, "Clients that may say by XCLIENT for whom they speak."),
        _key("tls_certificate", Kind.TEXT, "Certificate chain (PEM), relative to this file."),
        _key("tls_private_key", Kind.TEXT, "Private key (PEM).", "the certificate's file"),
        _key(
            "tls_client_ca",
            Kind.TEXT,
            "Authorities (PEM) whose certificates authenticate clients.",
            "clients are not asked for certificates",
        ),
        _key("implicit_tls", Kind.SWITCH, "TLS from the first octet, as on port 465.", "false"),
        _key("password_file", Kind.TEXT, "Users for AUTH: `name:hash` lines, made by `jobctl passwd`."),
        _key("pam_service", Kind.TEXT, "PAM service that checks passwords, in place of password_file."),
        _key(
            "auth_url",
            Kind.TEXT,
            "Page that checks passwords, in place of password_file: asked with HTTP Basic, it answers 200 or 401.",
        ),
        _key(
            "introspection_url",
            Kind.TEXT,
            "Token introspection endpoint (RFC 7662) for XOAUTH2 and OAUTHBEARER.",
        ),
        _key(
            "introspection_client_file",
            Kind.TEXT,
            "File whose first line says who we are there: `id:secret`, or a bearer token.",
        ),
        _key("introspection_user", Kind.TEXT, "Member of its answer that has the user's name.", "username"),
        _key(
            "auth_ca_file",
            Kind.TEXT,
            "Authorities (PEM) for https of auth_url and introspection_url.",
            "those of the system",
        ),
        _key(
            "auth_timeout",
            Kind.SECONDS,
            "Seconds that PAM, auth_url or introspection_url may take.",
            "20",
            1,
            240,
        ),
        _key(
            "auth_cache_time",
            Kind.SECONDS,
            "Seconds for which a yes of auth_url or introspection_url is believed; 0: not at all.",
            "60",
            0,
            3600,
        ),
        _key(
            "plaintext_auth", Kind.SWITCH, "AUTH PLAIN, LOGIN, XOAUTH2 and OAUTHBEARER without TLS.", "false"
        ),
        _inert("max_procs", Kind.INTEGER, "Most server programs.", "min_procs programs share the port"),
        _inert("image", Kind.TEXT, "Server program.", "slave_command of the channel's class runs"),
        _inert("logfile", Kind.TEXT, "Log file.", "the log lies in log_directory", ("logfilename",)),
        Key(
            name="parameter",
            kind=Kind.TEXT,
            sentence="Parameters of the server program.",
            status=Status.REFUSED,
            reason='mail would come in by another channel; write channel = "NAME" instead of CHANNEL=NAME',
        ),
    ),
)

MTA = KeyTable(
    "key of [mta]",
    (
        _key("block_limit", Kind.INTEGER, "Largest message in blocks of 1024 octets; 0 = no limit.", "0", 0),
        _key(
            "max_received_lines",
            Kind.INTEGER,
            "Received fields after which a message is a loop.",
            "50",
            1,
            10_000,
        ),
        _key("received_domain", Kind.HOST, "Name after `by` in Received:.", "name of this host"),
        _key(
            "postmaster",
            Kind.MAILBOX,
            "Sender of notifications in their header, and who gets copies.",
            "postmaster@ this host",
            aliases=("return_address",),
        ),
        _key(
            "return_personal", Kind.TEXT, "Name beside that address.", "Internet Mail Delivery, or its like"
        ),
        Key(
            name="return_units",
            kind=Kind.INTEGER,
            sentence="Unit of bare numbers in notices: 0 days, 1 hours.",
            default="0",
            low=0,
            high=1,
        ),
        Key(
            name="block_size",
            kind=Kind.INTEGER,
            sentence="Octets in a block; only 1024.",
            default="1024",
            low=1024,
            high=1024,
        ),
        Key(
            name="return_delivery_history",
            kind=Kind.SWITCH,
            sentence="Notifications show what was tried before.",
            default="1",
            source="SIMS",
            field="return_delivery_history",
        ),
        _key(
            "content_return_block_limit",
            Kind.INTEGER,
            "Size in blocks of 1024 octets above which only the header goes back; 0 = the most.",
            "1024",
            0,
            65536,
        ),
        *(
            Key(
                name=f"{priority}_block_limit",
                kind=Kind.INTEGER,
                sentence=f"Size in blocks above which {priority} mail drops by one priority; 0 = none.",
                default="0",
                low=0,
            )
            for priority in ("urgent", "normal", "non_urgent")
        ),
        Key(
            name="use_permanent_error",
            kind=Kind.INTEGER,
            sentence="Bits: refusals that are permanent. 16: recipients beyond `recipientlimit` are told 550 "
            "instead of 452. Other bits do not act.",
            default="0",
            low=0,
            source="W:Recipientlimit",
            field="use_permanent_error",
        ),
        _key(
            "blocked_mail_from_ips",
            Kind.NETWORKS,
            "Addresses and networks that `mailfromdnsverify` counts as absent.",
        ),
        _key(
            "access_orcpt",
            Kind.INTEGER,
            "Bits: probes end with `|` and the original recipient (`rfc822;ann@example.org`): 1 of all tables for "
            "recipients, 2 ORIG_SEND_ACCESS, 4 SEND_ACCESS, 8 ORIG_MAIL_ACCESS, 16 MAIL_ACCESS.",
            "0",
            0,
            31,
        ),
        _key(
            "use_ip_access",
            Kind.INTEGER,
            "1: probes of IP_ACCESS end with `|` and which attempt it is of the message that is to go out.",
            "0",
            0,
            1,
        ),
    ),
    LOG,
)

NOTIFICATION = KeyTable(
    "key of [notification]",
    (
        _key("directory", Kind.TEXT, "Folder with texts of one's own, a folder in it for each language."),
        _key("language", Kind.TEXT, "Language where nothing below says another.", "en"),
        _key("language_for", Kind.TABLE, '`"sender *.de" = "de"`: see docs/notifications.md.'),
    ),
)

RETRY = KeyTable(
    "key of a retry rule",
    (
        _key(
            "where", Kind.TEXT, "The messages that are meant, as a selector: `docs/selectors.md`.", "required"
        ),
        _key(
            "backoff", Kind.DURATIONS, "Intervals between attempts; the last repeats.", "the channel's", 1, 20
        ),
        _key("jitter", Kind.NUMBER, "Part of an interval that is added at most.", "the channel's", 0, 1),
        _key(
            "max_attempts", Kind.INTEGER, "Counted attempts after which it is returned.", "the channel's", 1
        ),
        _key("lifetime", Kind.SECONDS, "Age at which it is returned.", "the last of notices", 1),
        _key("notices", Kind.AGES, "Ages, as the keyword of channels.", "the channel's", 1, 20),
    ),
)

TLS_POLICY = KeyTable(
    "key of a destination's TLS policy",
    (
        Key(
            name="policy",
            kind=Kind.CHOICE,
            sentence="As the keyword `tls_policy` of channels. A destination can also have this alone: "
            '`"bank.example" = "verify"`.',
            default="required",
            choices=(*POLICIES, *LATER),
            refused=LATER,
        ),
        _key("server_name", Kind.HOST, "Name to verify instead of the next hop's.", "the channel's"),
        _key("ca_file", Kind.TEXT, "Trust anchors (PEM).", "the channel's"),
    ),
)
