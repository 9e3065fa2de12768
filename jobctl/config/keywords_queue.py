"""Channel keywords: programs, copies, jobs, retries, limits on mail (channels reference 1.2, 2.3, 2.4)."""

from jobctl.config.keys import Key, Kind
from jobctl.config.keyword_forms import flag, flags, inert, inert_flags, valued
from jobctl.config.keywords_programs import RESOURCE_LIMITS

_ALL_AT_ONCE = "mail of every priority is tried at once, as with immnonurgent"

NAMES: tuple[Key, ...] = (
    valued(
        "official_host_name",
        Kind.HOST,
        "The channel's own name, by which templates name it; on channel `l` the name of this host.",
        default="`<channel>.<name of this host>`; channel `l`: required",
        source="W:Official_host_name_Option",
    ),
    valued(
        "local_host_alias",
        Kind.HOST,
        "What this host is called on this channel: greeting, banner, Received:.",
        field="local_host",
        default="official_host_name of `l`",
        source="PMDF book_522",
    ),
    valued(
        "additional_host_names",
        Kind.WORDS,
        "Further names that lead to this channel.",
        field="additional_host_names",
        low=1,
    ),
    valued("options", Kind.TABLE, "TCP/IP-channel-specific options, by name.", default="each option's own"),
    valued(
        "transport",
        Kind.TEXT,
        "What the program's standard input and output are joined to: `tcp`, `command:...` or `channel:NAME`.",
        field="transport",
        default="that of the class",
    ),
    valued(
        "master_command",
        Kind.COMMAND,
        "Program that takes mail out.",
        field="master_command",
        default="the class's",
    ),
    valued(
        "slave_command",
        Kind.COMMAND,
        "Program that brings mail in.",
        field="slave_command",
        default="the class's",
    ),
    *flags(
        "direction",
        "",
        {
            "bidirectional": (None, "Mail goes out and comes in."),
            "master": (None, "Mail only goes out: no slave program."),
            "slave": (None, "Mail only comes in: no master program."),
        },
        default="bidirectional",
        source="AG63 bgaoa",
    ),
    valued(
        "maildir",
        Kind.TEXT,
        "Directory where a Maildir channel delivers, relative to this file.",
        field="maildir",
    ),
    flag(
        "existingmaildirs",
        "Only recipients whose Maildir is there can be written to; others are refused at RCPT TO.",
        field="existingmaildirs",
        value=True,
    ),
    valued(
        "recipients_file",
        Kind.TEXT,
        "Who can be written to: an address, a local part or `@domain` a line; others are refused at RCPT TO. "
        "Relative to this file; changes count at once.",
        field="recipients_file",
        default="everybody",
    ),
    valued("user", Kind.TEXT, "Account that the channel's programs run as.", field="user"),
    *RESOURCE_LIMITS,
    valued(
        "option_file",
        Kind.TEXT,
        "Option file handed to the programs as `PMDF_CHANNEL_OPTION`, relative to this file.",
    ),
)

QUEUE: tuple[Key, ...] = (
    *flags(
        "copies",
        "copies",
        {
            "single": ("single", "One queue entry per recipient."),
            "single_sys": ("single_sys", "One queue entry per destination host."),
            "multiple": ("multiple", "One queue entry for all recipients of the channel."),
        },
        default="single_sys for SMTP without `daemon`, else multiple",
        source="W:Multiple",
    ),
    valued("addrsperfile", Kind.INTEGER, "Most recipients of one queue entry.", field="addrsperfile", low=1),
    valued(
        "maxjobs",
        Kind.INTEGER,
        "Most programs at a time for the channel.",
        field="maxjobs",
        low=1,
        default="100",
        source="SIMS",
    ),
    valued(
        "max_connections_per_host",
        Kind.INTEGER,
        "Most connections at a time to one destination, by all programs of the channel.",
        field="max_connections_per_host",
        low=1,
        default="as many as it earns by answering",
    ),
    valued(
        "rate_per_host",
        Kind.RATE,
        "Most messages to one destination in a time.",
        field="rate_per_host",
    ),
    valued(
        "group_by_mx",
        Kind.SWITCH,
        "Domains whose mail goes to the same mail exchangers count as one destination.",
        field="group_by_mx",
        default="false",
    ),
    valued(
        "filesperjob",
        Kind.INTEGER,
        "A further job per so many entries, for programs that do one thing at a time; 0: by threaddepth.",
        field="filesperjob",
        low=0,
        default="0",
    ),
    valued(
        "addrsperjob",
        Kind.INTEGER,
        "A further job per so many recipients, for programs that do one thing at a time; 0: they do not count.",
        field="addrsperjob",
        low=0,
        default="0",
    ),
    inert("maxfiles", Kind.INTEGER, "Files read into memory.", "the queue is a database"),
    valued(
        "pool",
        Kind.TEXT,
        "Pool whose slots the programs take.",
        field="pool",
        default="DEFAULT, else the first",
        source="AG63 bgaod",
    ),
    valued(
        "threaddepth",
        Kind.INTEGER,
        "Messages for one host per connection before another is wanted.",
        field="threaddepth",
        low=1,
        default="10",
        source="AG63 bgaoh",
    ),
    *(
        valued(
            f"{priority}backoff",
            Kind.DURATIONS,
            f"Intervals between attempts{what}; the last repeats.",
            low=1,
            high=8,
            default=default,
            source="W:Backoff",
        )
        for priority, what, default in (
            ("", " of all priorities without a list of their own", "those of each priority"),
            ("urgent", " of urgent mail", "PT30M PT1H PT1H PT2H PT2H PT2H PT4H"),
            ("normal", " of normal mail", "PT1H PT2H PT2H PT4H PT4H PT4H PT8H"),
            ("nonurgent", " of nonurgent mail", "PT2H PT4H PT4H PT8H PT8H PT8H PT16H"),
        )
    ),
    inert(
        "ipbackoff", Kind.DURATIONS, "Intervals by address of the next hop.", "hosts are backed off by name"
    ),
    *(
        valued(
            f"{priority}notices",
            Kind.AGES,
            f"Rising ages{what}: days (hours with return_units = 1) or durations. "
            "At the last one mail is returned to its sender.",
            low=1,
            high=20,
            default="those of `l`, else 3 6 9 12" if not priority else "notices",
            source="W:Notices",
        )
        for priority, what in (
            ("", ""),
            ("urgent", " of urgent mail"),
            ("normal", " of normal mail"),
            ("nonurgent", " of nonurgent mail"),
        )
    ),
    valued(
        "max_attempts",
        Kind.INTEGER,
        "Counted attempts after which mail is returned, however young it is.",
        field="max_attempts",
        low=1,
        default="any number",
    ),
    valued(
        "jitter",
        Kind.NUMBER,
        "Part of a retry interval that is added to it at most, so that what failed together parts.",
        field="jitter",
        low=0,
        high=1,
        default="0.05",
    ),
    *(
        valued(
            f"{priority}after",
            Kind.MOMENT,
            f"Delay before the first attempt{what}: seconds, a duration, or a time such as "
            "`2026-12-24T18:00:00Z`.",
            low=0,
            default=default,
            source="SIMS doc81",
        )
        for priority, what, default in (
            ("", "", "0"),
            ("urgent", " of urgent mail", "after"),
            ("normal", " of normal mail", "after"),
            ("nonurgent", " of nonurgent mail", "after"),
            ("secondclass", " of second class mail", "after"),
            ("thirdclass", " of third class mail", "after"),
        )
    ),
    *(
        valued(
            f"{priority}_delivery",
            Kind.HOURS,
            f"Hours of the local day in which {priority} mail goes out: `08:00-12:00 22:00-06:00`.",
            default="that of the class",
        )
        for priority in ("urgent", "normal", "nonurgent")
    ),
    flag("immnonurgent", "Mail of every priority is tried at once.", groups=("immediacy",), default="on"),
    *inert_flags(
        _ALL_AT_ONCE,
        {
            "immnormal": "Normal and urgent mail is tried at once.",
            "immurgent": "Only urgent mail is tried at once.",
        },
        group="immediacy",
    ),
    *inert_flags(
        _ALL_AT_ONCE,
        {
            "immediate": "Mail is tried at once.",
            "periodic": "Mail waits for a periodic job.",
        },
    ),
    inert("period", Kind.INTEGER, "Periods between periodic jobs.", _ALL_AT_ONCE),
    *(
        valued(
            f"{priority}blocklimit",
            Kind.INTEGER,
            f"Larger {priority} mail drops by one priority (blocks of 1024 octets).",
            low=1,
            default=f"`{mta}_block_limit` of [mta]",
        )
        for priority, mta in (("urgent", "urgent"), ("normal", "normal"), ("nonurgent", "non_urgent"))
    ),
    inert("subdirs", Kind.INTEGER, "Queue subdirectories.", "the queue is a database", low=1, default="1"),
    valued(
        "expandlimit",
        Kind.INTEGER,
        "A message from this channel with more recipients is routed later, through channel `reprocess`.",
        field="expandlimit",
        low=0,
        source="PMDF book_530",
    ),
    valued(
        "holdlimit",
        Kind.INTEGER,
        "A message from this channel with more recipients is held.",
        field="holdlimit",
        low=0,
    ),
    *flags(
        "deferred",
        "deferred",
        {
            "deferred": (
                True,
                "Mail queued to this channel waits for the date of its Deferred-Delivery: field.",
            ),
            "nodeferred": (False, "Deferred-Delivery: is not looked at."),
        },
        default="nodeferred",
        source="AG63 bganz",
    ),
)

_COUNTS = (
    ("recipientlimit", "Recipients accepted for a message; the rest is told 452."),
    ("recipientcutoff", "With more recipients presented, nobody gets the message."),
    ("deferralrejectlimit", "After so many bad recipients every recipient is put off."),
    ("transactionlimit", "Messages in one connection."),
    ("disconnecttransactionlimit", "Messages after which the connection is closed."),
    ("disconnectrecipientlimit", "Recipients after which the connection is closed."),
    ("disconnectrejectlimit", "Rejections after which the connection is closed."),
    ("disconnectbadcommandlimit", "Bad commands after which the connection is closed."),
)
_SIZES = (
    ("blocklimit", "Largest message queued to this channel, in blocks of 1024 octets."),
    ("sourceblocklimit", "Largest message taken from this channel, in blocks of 1024 octets."),
)

LIMITS: tuple[Key, ...] = (
    *(valued(name, Kind.INTEGER, sentence, field=name, low=0) for name, sentence in _COUNTS),
    *(valued(name, Kind.INTEGER, sentence, field=name, low=0, groups=(name,)) for name, sentence in _SIZES),
    valued(
        "linelimit",
        Kind.INTEGER,
        "Most lines of a message queued to this channel.",
        field="linelimit",
        low=0,
        groups=("linelimit",),
    ),
    *(
        flag(f"no{name}", "There is no such limit.", field=name, value=None, groups=(name,), default="on")
        for name in ("blocklimit", "linelimit", "sourceblocklimit")
    ),
    *flags(
        "long_lines",
        "long_lines",
        {
            "truncatesmtplonglines": (
                "truncatesmtplonglines",
                "Lines over 998 octets are cut, where it is given.",
            ),
            "wrapsmtplonglines": ("wrapsmtplonglines", "Lines over 998 octets are folded."),
            "rejectsmtplonglines": ("rejectsmtplonglines", "Mail with lines over 998 octets is refused."),
        },
        default="none of the three: they pass",
    ),
    *flags(
        "validity",
        "acceptalladdresses",
        {
            "acceptvalidaddresses": (False, "Each recipient is checked when it is given."),
            "acceptalladdresses": (
                True,
                "Recipients that are unknown or lead nowhere are accepted, and returned later. Not for clients that "
                "nobody knows: what they send to such recipients is mostly spam, and goes back to a forged sender.",
            ),
        },
        default="acceptvalidaddresses",
        source="W:Acceptalladdresses,...",
    ),
    *flags(
        "temporary",
        "accepttemporaryfailures",
        {
            "defertemporaryfailures": (False, "Temporary trouble with a recipient is told at once."),
            "accepttemporaryfailures": (
                True,
                "A recipient that cannot be checked now is accepted, waits in channel `reprocess` and is tried later.",
            ),
        },
        default="defertemporaryfailures",
        source="W:Accepttemporaryfailures,...",
    ),
    flag("vrfyallow", "VRFY tells all, whatever HIDE_VERIFY says.", groups=("vrfy",)),
    flag("vrfydefault", "VRFY tells what HIDE_VERIFY allows.", groups=("vrfy",), default="on"),
    flag("vrfyhide", "VRFY tells nothing.", groups=("vrfy",)),
    flag("expnallow", "EXPN is answered, whatever DISABLE_EXPAND says.", groups=("expn",)),
    flag("expndefault", "EXPN is answered unless DISABLE_EXPAND is 1.", groups=("expn",)),
    flag("expndisable", "EXPN is refused.", groups=("expn",), default="on"),
)
