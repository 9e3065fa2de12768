"""Keys of ``[job_controller]`` and of the tables in it: pools, shares, channel classes."""

from jobctl.config.keys import Key, KeyTable, Kind
from jobctl.config.keyword_forms import inert, named
from jobctl.mail.share import KINDS

_NO_PORT = "commands reach the controller through control_socket"
_NO_SCAN = "the queue is a database: there is nothing to scan"
_NO_STRESS = "stress is not reported to the controller yet"

_JOB_LIMIT = named("job_limit", Kind.INTEGER, "Most programs of the pool at a time.", "10", 1, 10_000)
_LIFE_TIME = named(
    "max_life_time", Kind.SECONDS, "Seconds a program may live.", "3600", 1, aliases=("max_life_age",)
)
_LIFE_ASKWORK = named(
    "max_life_askwork", Kind.INTEGER, "Messages a program may get.", "20000", 1, aliases=("max_life_conns",)
)

CONTROLLER = KeyTable(
    "key of [job_controller]",
    (
        named("queue_directory", Kind.TEXT, "Where the queue lies, relative to this file.", "var/queue"),
        named("control_socket", Kind.TEXT, "The socket that commands use.", "var/control.sock"),
        named("log_directory", Kind.TEXT, "Where logs are written.", "var/log"),
        named("json_log", Kind.TEXT, "File for the daemon's log as JSON lines, too, relative to this file."),
        named(
            "max_cache_messages",
            Kind.INTEGER,
            "Messages scheduled in memory.",
            "100000",
            10,
            aliases=("max_messages",),
        ),
        named(
            "free_space",
            Kind.INTEGER,
            "Octets of disk that must stay free for mail to be accepted.",
            "67108864",
            0,
        ),
        named("control_group", Kind.TEXT, "Group whose members may change the queue."),
        named("control_readers", Kind.WORDS, "Users and groups who may look at the queue."),
        Key(
            name="log_rollover",
            kind=Kind.TIME_OF_DAY,
            sentence="When mail.log_current becomes mail.log_yesterday, and that part of mail.log.",
            default="00:30",
            field="log_rollover",
            source="AG63 (return job)",
        ),
        named(
            "history_retention",
            Kind.SECONDS,
            "How long finished messages can be looked up; 0 = none are kept.",
            "P30D",
            0,
        ),
        named("stop_timeout", Kind.SECONDS, "Seconds that programs get to stop.", "30", 0),
        named(
            "undo_window",
            Kind.SECONDS,
            "For how long an operator can undo a deletion, move, reroute or redirect; until then what is deleted "
            "is kept aside. 0: not at all.",
            "PT10M",
            0,
        ),
        named(
            "return_undo_window",
            Kind.SECONDS,
            "For how long an operator can undo a return; until then its notification waits. 0: not at all.",
            "PT15S",
            0,
        ),
        named("audit_keep", Kind.SECONDS, "For how long it is remembered what operators did.", "P90D", 0),
        named("job_limit", Kind.INTEGER, "job_limit of pools without one.", "10", 1, 10_000),
        _LIFE_TIME,
        _LIFE_ASKWORK,
        named("job_pool", Kind.TABLE, "Pools by name."),
        Key(
            name="fair_share",
            kind=Kind.CHOICE,
            sentence="Whose mail takes turns in a channel: that of each sender's domain, authenticated user or "
            "channel that it came in by.",
            choices=KINDS,
            default="sender_domain",
            field="fair_share",
        ),
        named("share", Kind.TABLE, "Shares by name."),
        named("channel_class", Kind.TABLE, "Programs by channel pattern."),
        inert("tcp_ports", Kind.INTEGER, "Port for requests.", _NO_PORT, aliases=("tcp_port",)),
        inert("secret", Kind.TEXT, "Shared secret of requests.", "the peer's user is asked of the system"),
        inert("interface_address", Kind.TEXT, "Address for requests.", _NO_PORT),
        inert(
            "synch_time", Kind.TEXT, "Interval between scans of the queue.", _NO_SCAN, aliases=("sync_time",)
        ),
        inert(
            "rebuild_parallel_channels",
            Kind.INTEGER,
            "Directories scanned at a time.",
            _NO_SCAN,
            aliases=("rebuild_parallel_channel",),
        ),
        named(
            "debug",
            Kind.INTEGER,
            "Bits: what more is logged: 1 frames of programs, 2 with their keys, 4 the schedule's decisions.",
            "0",
            0,
        ),
        inert("use_nslog", Kind.SWITCH, "Log through another log.", "the controller has its own log"),
        *(
            inert(name, Kind.NUMBER, "Handling of an overloaded message store.", _NO_STRESS)
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
    (named("weight", Kind.INTEGER, "How many times as much as another share it gets.", "1", 1, 1000),),
)

CHANNEL_CLASS = KeyTable(
    "key of a channel class",
    (
        named("master_command", Kind.COMMAND, "Program that takes mail out."),
        named("slave_command", Kind.COMMAND, "Program that brings mail in."),
        named("transport", Kind.TEXT, "What its standard input and output are joined to."),
        _LIFE_TIME,
        _LIFE_ASKWORK,
        named("limit_memory", Kind.INTEGER, "MiB of memory of each program.", "as the daemon", 16),
        named("limit_open_files", Kind.INTEGER, "Descriptors of each program.", "as the daemon", 16),
        named("limit_cpu", Kind.SECONDS, "CPU time of a program's whole life.", "as the daemon", 1),
        named("limit_file_size", Kind.INTEGER, "MiB of the largest file written.", "as the daemon", 1),
        named("anon_host", Kind.SWITCH, "1: destination hosts are not told apart.", "0"),
        *(
            named(f"{priority}_delivery", Kind.HOURS, f"Hours in which {priority} mail goes out.", "any")
            for priority in ("urgent", "normal", "nonurgent")
        ),
    ),
)
