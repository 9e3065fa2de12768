"""Channel keywords: content, headers, notification, logging, debugging (channels reference 2.5, 2.6)."""

from typing import Any

from jobctl.config.keys import Key, Kind, Status
from jobctl.config.keyword_forms import flag, flags, inert, inert_flags, valued

_AS_IT_IS = "content is passed on as it came"
_OTHER_STYLE: dict[str, Any] = {
    "status": Status.INERT,
    "reason": "envelope addresses are passed on as user@host",
}
_HEADERS_AS_THEY_ARE = "header fields are passed on as they came"

CONTENT: tuple[Key, ...] = (
    *flags(
        "eight",
        "eight",
        {
            "eightnegotiate": (
                "eightnegotiate",
                "8-bit content is sent where 8BITMIME is offered, else encoded part by part.",
            ),
            "eightbit": ("eightbit", "8-bit content is sent as it is, whatever is offered."),
            "sevenbit": ("sevenbit", "8-bit content is encoded, whatever is offered."),
            "eightstrict": (
                "eightstrict",
                "As eightnegotiate; 8-bit content that comes in without having been declared is refused.",
            ),
        },
        default="eightnegotiate",
        source="W:Eightbit",
    ),
    flag(
        "utf8header",
        "As utf8negotiate; mail for which SMTPUTF8 would be needed goes without it.",
        groups=("utf8",),
    ),
    flag(
        "utf8negotiate",
        "SMTPUTF8 is offered, and used where offered: addresses and headers in UTF-8.",
        groups=("utf8",),
    ),
    flag(
        "utf8strict",
        "As utf8negotiate; a header in UTF-8 that comes in without SMTPUTF8 is refused.",
        groups=("utf8",),
    ),
    flag("mtpriority", "MT-PRIORITY is offered; who may relay chooses the priority by it (RFC 6710)."),
    valued(
        "futurerelease",
        Kind.SECONDS,
        "FUTURERELEASE is offered to who has authenticated: how long a message may be kept (RFC 4865).",
        field="futurerelease",
        low=1,
    ),
    valued(
        "deliverby",
        Kind.SECONDS,
        "DELIVERBY is offered (RFC 2852): the least time after which a message may be returned, 0 for any.",
        field="deliverby",
        low=0,
    ),
    valued(
        "linelength",
        Kind.INTEGER,
        "Parts with longer lines are encoded on their way out, in lines of 76 octets.",
        field="linelength",
        low=1,
        default="none; the original's is 998",
    ),
    inert("maxblocks", Kind.INTEGER, "Larger messages are split.", _AS_IT_IS, low=1),
    inert("maxlines", Kind.INTEGER, "Messages with more lines are split.", _AS_IT_IS, low=1),
    *inert_flags(_AS_IT_IS, {"defragment": "Pieces of messages are joined."}, group="defragment"),
    flag("nodefragment", "Pieces of messages are passed on.", groups=("defragment",), default="on"),
    *(
        Key(name=name, kind=Kind.FLAG, sentence=sentence, groups=("style",), aliases=(alias,), **status)
        for name, alias, sentence, status in (
            ("sourceroute", "822", "Addresses are user@host.", {"default": "on", "source": "AR05 fvkcf"}),
            ("percents", "733", "Addresses are user%host@relay.", _OTHER_STYLE),
            ("uucp", "bangstyle", "Addresses are host!user.", _OTHER_STYLE),
        )
    ),
    *flags(
        "remotehost",
        "remotehost",
        {
            "noremotehost": ("noremotehost", "The client's name does not complete senders."),
            "remotehost": (
                "remotehost",
                "The name that the client greets with completes senders without a domain.",
            ),
            "authhost": (
                "authhost",
                "The domain of who has authenticated completes senders without a domain.",
            ),
        },
        default="noremotehost",
        source="AG63 bgaow",
    ),
    valued(
        "defaulthost",
        Kind.WORDS,
        "Domain of senders without one; a second: of recipients (with submit the first serves for both).",
        field="defaulthost",
        low=1,
        high=2,
        groups=("defaulthost",),
        default="the name of this host",
        source="AG63 bgaow",
    ),
    flag(
        "nodefaulthost",
        "The name of this host completes addresses.",
        field="defaulthost",
        value=(),
        groups=("defaulthost",),
        default="on",
    ),
    flag("noinner", "Headers of nested messages are left alone.", groups=("inner",), default="on"),
    *inert_flags(_HEADERS_AS_THEY_ARE, {"inner": "Headers of nested messages are rewritten."}, group="inner"),
    *inert_flags(
        "rewrite rules act on envelope recipients, always",
        {"rules": "Channel-specific rules act.", "norules": "Channel-specific rules do not act."},
        group="rules",
    ),
    *inert_flags(_HEADERS_AS_THEY_ARE, {"reverse": "Addresses are reversed."}, group="reverse"),
    flag("noreverse", "Addresses are not reversed.", groups=("reverse",), default="on"),
    valued(
        "maxheaderaddrs",
        Kind.INTEGER,
        "Addresses per field of recipients that goes out; one with more becomes several.",
        field="maxheaderaddrs",
        low=1,
        source="W:Maxheaderaddrs",
    ),
    valued(
        "maxheaderchars",
        Kind.INTEGER,
        "Octets per field of recipients that goes out; one with more becomes several.",
        field="maxheaderchars",
        low=1,
        source="W:Maxheaderaddrs",
    ),
    valued(
        "headerlinelength",
        Kind.INTEGER,
        "Longer lines of the header are folded on their way out.",
        field="headerlinelength",
        low=1,
    ),
    valued(
        "maxprocchars",
        Kind.INTEGER,
        "Fields of more octets are neither divided nor folded.",
        field="maxprocchars",
        low=1,
        source="W:Maxprocchars",
    ),
    valued("headerread", Kind.TABLE, "Header options that act on arrival, by the field's name."),
    valued("headertrim", Kind.TABLE, "Header options that act on delivery, by the field's name."),
    *flags(
        "receivedfor",
        "receivedfor",
        {
            "receivedfor": (True, "Received: names the recipient when there is one only."),
            "noreceivedfor": (False, "Received: names no recipient."),
        },
        default="receivedfor",
    ),
    *flags(
        "receivedfrom",
        "receivedfrom",
        {
            "noreceivedfrom": (False, "Received: does not name the sender."),
            "receivedfrom": (True, "Received: names the envelope's sender."),
        },
        default="noreceivedfrom",
    ),
    inert(
        "deliveryflags",
        Kind.INTEGER,
        "Bits for the message store.",
        "there is no message store here",
        low=0,
        default="0",
    ),
)

NOTICES: tuple[Key, ...] = (
    *flags(
        "sendpost",
        "sendpost",
        {
            "sendpost": ("sendpost", "The postmaster gets a copy of every failure."),
            "copysendpost": ("copysendpost", "The postmaster gets a copy, unless the sender is empty."),
            "errsendpost": (
                "errsendpost",
                "The postmaster gets a copy where the sender cannot be told, also of notifications.",
            ),
            "nosendpost": ("nosendpost", "The postmaster gets no copies."),
        },
        default="nosendpost",
        source="W:Sendpost",
    ),
    *flags(
        "warnpost",
        "warnpost",
        {
            "warnpost": ("sendpost", "The postmaster gets a copy of every warning of delay."),
            "copywarnpost": ("copysendpost", "The postmaster gets a copy, unless the sender is empty."),
            "errwarnpost": ("errsendpost", "The postmaster gets a copy where the sender cannot be told."),
            "nowarnpost": ("nosendpost", "The postmaster gets no copies of warnings."),
        },
        default="as the sendpost in force",
        source="W:Warnpost",
    ),
    *flags(
        "posthead",
        "posthead",
        {
            "postheadbody": ("postheadbody", "Copies for the postmaster hold the whole message."),
            "postheadonly": ("postheadonly", "Copies for the postmaster hold its header."),
        },
        default="postheadbody",
    ),
    *flags(
        "final",
        "addresses",
        {
            "includefinal": ("includefinal", "Notifications show the address that was tried last."),
            "useintermediate": (
                "useintermediate",
                "Notifications show the address from before the rewrite rules made another of it.",
            ),
            "suppressfinal": ("suppressfinal", "Notifications show the original address only (ORCPT)."),
        },
        default="useintermediate",
        source="W:Includefinal",
    ),
    valued(
        "notificationchannel",
        Kind.TEXT,
        "Channel that notifications of this channel's mail enter by, for rules that ask for it.",
        field="notificationchannel",
        default="process",
        source="W:Dispositionchannel",
    ),
    valued(
        "returnaddress",
        Kind.MAILBOX,
        "Postmaster of this channel: sender of notifications in their header, and who gets copies.",
        field="returnaddress",
        default="postmaster of [mta]",
    ),
    valued(
        "returnpersonal",
        Kind.TEXT,
        "Name beside that address.",
        field="returnpersonal",
        default="return_personal of [mta]",
    ),
    inert(
        "dispositionchannel",
        Kind.TEXT,
        "Channel that MDNs enter by.",
        "MDNs are not made here",
        default="process",
    ),
    flag(
        "logging",
        "Traffic is written to the transaction log.",
        field="logging",
        value=True,
        groups=("logging",),
    ),
    flag(
        "nologging",
        "Traffic is not written to it.",
        field="logging",
        value=False,
        groups=("logging",),
        default="on",
    ),
    *flags(
        "master_debug",
        "master_debug",
        {
            "master_debug": (True, "Dialogues of the master program are logged."),
            "nomaster_debug": (False, "They are not."),
        },
        default="nomaster_debug",
        source="W:Master_debug",
    ),
    *flags(
        "slave_debug",
        "slave_debug",
        {
            "slave_debug": (True, "Dialogues of the slave program are logged."),
            "noslave_debug": (False, "They are not."),
        },
        default="noslave_debug",
        source="W:Master_debug",
    ),
)
