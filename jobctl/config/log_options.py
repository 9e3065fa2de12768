"""What the transaction log shows: keys of ``[mta]`` and the settings made of them (job controller reference 4.2)."""

import msgspec

from jobctl.config.keys import Key, Kind, Status

_PROBE = "there is no LOG_ACTION mapping table, so nothing is asked with it"
# Bit 1 of an option asks for a mapping probe; bit 2 for an attribute even when it is empty.
_PROBES = {str(value): _PROBE for value in range(8) if value & 2}

# Bits of log_connection.
SYSTEM, CONNECTIONS, ETRN, SITE_TEXT_PROBE, SITE_TEXT, TRANSPORT, APPLICATION, AUTHENTICATION = (
    1 << bit for bit in range(8)
)
_STRUCTURED = (4, 5, 6)


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """
    The transaction log.  Of an option with bits, ``None`` is what its format has by default.

    :ivar log_format: 1 plain, 2 plain with ``<>``, 3 counted, 4 XML, 5 JSON, 6 flat JSON.
    :ivar log_connection: Bits, see above; a channel's LOG_CONNECTION goes before it.
    :ivar log_messages_syslog: 0: not to syslog; n: there, too, with priority n; -n: there alone.
    """

    log_format: int = 1
    log_connection: int = SYSTEM | CONNECTIONS
    log_node: int = 0
    log_process: int | None = None
    log_notary: int | None = None
    log_filename: int | None = None
    log_envelope_id: int = 0
    log_message_id: int | None = None
    log_username: int | None = None
    log_sensitivity: int = 0
    log_priority: int | None = None
    log_reason: int | None = None
    log_diagnostics: int = 1
    log_remote_mta: int = 0
    log_queue_time: int | None = None
    log_messages_syslog: int = 0
    log_connections_syslog: int = 0
    separate_connection_log: bool = False
    log_local: bool = False

    def bits(self, option: str) -> int:
        """The value of an option with bits, its format's default applied."""
        value = getattr(self, option)
        if value is None:
            return int(self.log_format in _STRUCTURED)
        return int(value)


def _field(name: str, sentence: str, default: str = "0; 1 in formats 4 to 6", source: str = "") -> Key:
    return Key(
        name=name,
        kind=Kind.INTEGER,
        sentence=f"{sentence} 4 added: also where it is empty, in formats 4 to 6.",
        default=default,
        low=0,
        high=7,
        field=name,
        source=source,
        inert=_PROBES,
    )


def _inert(name: str, sentence: str, reason: str) -> Key:
    return Key(name=name, kind=Kind.INTEGER, sentence=sentence, status=Status.INERT, reason=reason)


def _syslog(name: str, what: str) -> Key:
    return Key(
        name=name,
        kind=Kind.INTEGER,
        sentence=f"{what} go to syslog, too, with this facility and severity (22 is mail.info); less than 0: "
        "there alone; 0: not there.",
        default="0",
        low=-191,
        high=191,
        field=name,
    )


LOG: tuple[Key, ...] = (
    Key(
        name="log_format",
        kind=Kind.INTEGER,
        sentence="1 plain, 2 with `<>` for no address, 3 counted, 4 XML, 5 JSON, 6 flat JSON.",
        default="1",
        low=1,
        high=6,
        field="log_format",
        source="W:Log_format",
    ),
    Key(
        name="log_connection",
        kind=Kind.INTEGER,
        sentence="Bits: 1 the remote system in records of messages; 2 connections opened, closed and refused; "
        "4 ETRN; 16 what PORT_ACCESS says of a connection in the record of its end; 32 transport and 64 application "
        "information in records of messages; 128 authentications. 8 does nothing: records of connections always "
        "have the transport, and there is no LOG_ACTION table.",
        default="3",
        low=0,
        high=255,
        field="log_connection",
        source="AG63",
    ),
    _field("log_node", "1: the name of this host.", "0"),
    _field("log_process", "1: the job."),
    _field("log_notary", "1: flags of the recipient (NOTIFY)."),
    _field("log_filename", "1: the message's id in the queue and its attempts."),
    _field("log_envelope_id", "1: the envelope id (ENVID).", "0"),
    _field("log_message_id", "1: the Message-ID."),
    _field("log_username", "1: the authenticated user."),
    _field(
        "log_sensitivity",
        "1: the sensitivity (personal, private, company-confidential).",
        "0",
    ),
    _field("log_priority", "1: the priority."),
    _field("log_reason", "1: why a message was held, deleted or returned."),
    _field("log_diagnostics", "1: what the other side, or we, had to say.", "1"),
    _field("log_remote_mta", "1: the host that spoke.", "0"),
    _field("log_queue_time", "1: seconds in the queue."),
    Key(
        name="separate_connection_log",
        kind=Kind.SWITCH,
        sentence="1: connections are logged in connection.log_current instead.",
        default="0",
        field="separate_connection_log",
    ),
    Key(
        name="log_local",
        kind=Kind.SWITCH,
        sentence="1: addresses without a domain are logged with the name of this host.",
        default="0",
        field="log_local",
    ),
    _syslog("log_messages_syslog", "Records of messages"),
    _syslog("log_connections_syslog", "Records of connections"),
    _inert(
        "log_intermediate", "Intermediate addresses.", "addresses have no form between original and current"
    ),
    _inert("log_filter", "Filters that matched.", "there are no filters"),
    _inert("log_auth", "The authenticated sender address.", "log_username has the user"),
    _inert("log_delivery_flags", "Delivery flags.", "there are none"),
    _inert("log_imap_flags", "IMAP flags.", "no mailboxes are kept here"),
    _inert(
        "log_header",
        "Header fields.",
        "only the Message-ID and the sensitivity are logged",
    ),
)
