"""Every TCP/IP-channel-specific option, in one table (TCP channel options reference, section 2)."""

from jobctl.config.keys import Key, KeyTable, Kind, Status


def _count(
    name: str, sentence: str, default: str = "none", low: int = 0, high: int | None = None, source: str = ""
) -> Key:
    return Key(
        name=name,
        kind=Kind.INTEGER,
        sentence=sentence,
        default=default,
        low=low,
        high=high,
        field=name.lower(),
        source=source,
    )


def _switch(name: str, sentence: str, default: str, source: str = "") -> Key:
    return _count(name, sentence, default, 0, 1, source)


def _time(name: str, sentence: str, default: str = "10", source: str = "") -> Key:
    return Key(
        name=name,
        kind=Kind.NUMBER,
        sentence=sentence,
        default=default,
        low=0,
        field=name.lower(),
        source=source,
    )


def _text(name: str, sentence: str, default: str = "none", source: str = "") -> Key:
    return Key(
        name=name, kind=Kind.TEXT, sentence=sentence, default=default, field=name.lower(), source=source
    )


def _inert(name: str, kind: Kind, sentence: str, reason: str, low: int | None = 0) -> Key:
    return Key(name=name, kind=kind, sentence=sentence, status=Status.INERT, reason=reason, low=low)


LIMITS: tuple[Key, ...] = (
    _count(
        "ALLOW_ETRNS_PER_SESSION", "Server: ETRNs per connection.", "1", source="W:ALLOW_ETRNS_PER_SESSION"
    ),
    _count(
        "ALLOW_RECIPIENTS_PER_TRANSACTION",
        "Server: recipients per message; also VRFYs.",
        "128",
        1,
        source="AR05",
    ),
    _count("REJECT_RECIPIENTS_PER_TRANSACTION", "Server: with more presented, DATA is refused for all."),
    _count("ALLOW_REJECTIONS_BEFORE_DEFERRAL", "Server: after so many bad recipients all are put off."),
    _count("ALLOW_TRANSACTIONS_PER_SESSION", "Server: messages per connection."),
    _switch("TRANSACTION_LIMIT_RCPT_TO", "Server: 1 tells that limit at RCPT instead of MAIL.", "0"),
    _count("ALLOW_SESSION_BLOCKS", "Server: blocks of 1024 octets per connection; 0 = no limit.", "0"),
    _count("ATTEMPT_TRANSACTIONS_PER_SESSION", "Client: messages per connection.", low=1, source="AR05"),
    _count("MAX_CLIENT_THREADS", "Client: connections of one process.", "10", 1, 10_000, "AG63 bgamv"),
    _count("MAX_A_RECORDS", "Client: addresses tried per host.", low=1),
    _count("MAX_MX_RECORDS", "Client: MX hosts tried in one attempt.", "32", 1, 32),
    _count("MAX_B_ENTRIES", "Server: bad commands logged per connection.", "10", source="AG05 bgbev"),
    _count("MAX_J_ENTRIES", "Server: refused messages logged per connection.", "10"),
    _count("MAX_HELO_DOMAIN_LENGTH", "Server: longest name in HELO and EHLO.", low=1),
    Key(
        name="552_PERMANENT_ERROR_STRING",
        kind=Kind.PIECES,
        sentence="Client: texts after which a 552 is permanent, separated by `\\|`.",
        aliases=("522_PERMANENT_ERROR_STRING",),
        field="permanent_552",
        source="AR05",
    ),
)

TIMEOUTS: tuple[Key, ...] = (
    _time("COMMAND_RECEIVE_TIME", "Server: wait for a command.", source="SIMS"),
    _time("COMMAND_TRANSMIT_TIME", "Client: sending a command without a time of its own.", source="SIMS"),
    _time("MAIL_TRANSMIT_TIME", "Client: sending MAIL."),
    _time("RCPT_TRANSMIT_TIME", "Client: sending RCPT."),
    _time("DATA_TRANSMIT_TIME", "Client: sending content.", source="SIMS"),
    _time("DOT_TRANSMIT_TIME", "Client: sending the final dot.", source="W:DOT_TRANSMIT_TIME"),
    _time("DATA_RECEIVE_TIME", "Server: wait for content.", "5"),
    _time("STATUS_TRANSMIT_TIME", "Server: sending a reply."),
    _time("STATUS_RECEIVE_TIME", "Client: wait for a reply without a time of its own."),
    _time("STATUS_MAIL_RECEIVE_TIME", "Client: wait for the banner and the replies to EHLO and MAIL."),
    _time("STATUS_RCPT_RECEIVE_TIME", "Client: wait for the reply to RCPT."),
    _time("STATUS_DATA_RECEIVE_TIME", "Client: wait for the reply to the final dot."),
    _time("STATUS_DATA_RECV_PER_ADDR_TIME", "Client: ... and for each recipient.", "0.083333"),
    _time("STATUS_DATA_RECV_PER_BLOCK_TIME", "Client: ... and for each block of 1024 octets.", "0.001666"),
    _time(
        "STATUS_DATA_RECV_PER_ADDR_PER_BLOCK_TIME",
        "Client: ... and for each recipient and block.",
        "0.003333",
    ),
    _time("SESSION_TIME", "Server: life of a connection.", "none"),
    Key(
        name="TIMEOUT_MULTIPLIER",
        kind=Kind.NUMBER,
        sentence="Seconds in one unit of the `*_TIME` options; 1 makes them seconds.",
        default="60",
        low=0.001,
        field="timeout_multiplier",
        source="W:DOT_TRANSMIT_TIME",
    ),
    Key(
        name="FAST_SMTP_SESSION_TIME_LIMIT",
        kind=Kind.NUMBER,
        sentence="Server: seconds, in no other unit; transfers that took no longer are not remembered by "
        "REUSE_TIMED_OUT_TRANSFERS.",
        default="30",
        low=0,
        field="fast_smtp_session_time_limit",
        source="W:FAST_SMTP_SESSION_TIME_LIMIT",
    ),
    _switch(
        "REUSE_TIMED_OUT_TRANSFERS",
        "Server: 1 remembers slow transfers whose client was gone before it could be told 250; the same message "
        "from the same client is answered 250 and not taken again.",
        "0",
    ),
)

DIALOGUE: tuple[Key, ...] = (
    Key(
        name="BANNER_HOST",
        kind=Kind.HOST,
        sentence="Name in the banner and in HELO or EHLO.",
        default="local_host_alias",
        field="banner_host",
        source="AR05",
    ),
    _text(
        "BANNER_ADDITION",
        "Server: added to the banner; `\\|` begins a further line.",
        source="W:BANNER_ADDITION",
    ),
    _count(
        "BANNER_PURGE_DELAY",
        "Server: centiseconds to wait, dropping what comes, before the banner.",
        "0",
        high=100_000,
    ),
    _text(
        "CUSTOM_VERSION_STRING", "Server: replaces product and version in the banner.", "product and version"
    ),
    _text("EHLO_ADDITION", "Server: further lines of the EHLO reply, separated by `\\|`."),
    _text("INITIAL_COMMAND", "Client: a command sent before EHLO."),
    _switch("HIDE_VERIFY", "Server: 1 makes VRFY tell nothing.", "0", "W:HIDE_VERIFY"),
    _switch(
        "CHECK_SOURCE",
        "Server: 1 notes the client's true name in Received: and lets the client choose its channel by it.",
        "1",
        "W:CHECK_SOURCE",
    ),
    _switch("DISABLE_EXPAND", "Server: 1 refuses EXPN.", "0", "W:DISABLE_EXPAND"),
    _switch("DISABLE_SEND", "Server: 1 refuses SEND, SAML, SOML.", "1", "W:DISABLE_SEND"),
    *(
        _switch(
            f"DISABLE_{command}", f"Server: 1 refuses the private command {word}.", "1", "W:DISABLE_GENERAL"
        )
        for command, word in (
            ("GENERAL", "XGEN"),
            ("CIRCUIT", "XCIR"),
            ("ADDRESS", "XADR"),
            ("STATUS", "XSTA"),
        )
    ),
    _inert(
        "PROXY_PASSWORD",
        Kind.TEXT,
        "Server: lets a proxy tell the client's address.",
        "nothing says how the original's proxy gave it; name front ends in proxy_from or xclient_from of the service",
        None,
    ),
)

LOGGING: tuple[Key, ...] = (
    _switch("LOG_BANNER", "Client: 1 shows the remote banner in D, R and Q records.", "0", "AG05 gansy"),
    _switch("LOG_TRANSPORTINFO", "1 shows the transport string in D, R and Q records.", "0", "AG05 gansy"),
    _count(
        "LOG_CONNECTION",
        "Bits: what of this channel's connections is logged.",
        "log_connection of [mta]",
        high=255,
        source="AG63",
    ),
    _count(
        "TRACE_LEVEL",
        "0, 1 or 2: below the dialogue, the debug log also shows connections, reads and writes; 2: with their octets.",
        "0",
        high=2,
    ),
)

CHAPTERS: dict[str, tuple[Key, ...]] = {
    "Limits and counts": LIMITS,
    "Timeouts (in units of TIMEOUT_MULTIPLIER seconds)": TIMEOUTS,
    "Greeting and commands": DIALOGUE,
    "Logging and tracing": LOGGING,
}
OPTIONS = KeyTable("option", *CHAPTERS.values())
