"""Keys of ``[mta]``."""

from jobctl.config.keys import Key, KeyTable, Kind
from jobctl.config.keyword_forms import named
from jobctl.config.log_options import LOG

MTA = KeyTable(
    "key of [mta]",
    (
        named("block_limit", Kind.INTEGER, "Largest message in blocks of 1024 octets; 0 = no limit.", "0", 0),
        named(
            "max_received_lines",
            Kind.INTEGER,
            "Received fields after which a message is a loop.",
            "50",
            1,
            10_000,
        ),
        named("received_domain", Kind.HOST, "Name after `by` in Received:.", "name of this host"),
        named(
            "postmaster",
            Kind.MAILBOX,
            "Sender of notifications in their header, and who gets copies.",
            "postmaster@ this host",
            aliases=("return_address",),
        ),
        named(
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
        named(
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
        named(
            "blocked_mail_from_ips",
            Kind.NETWORKS,
            "Addresses and networks that `mailfromdnsverify` counts as absent.",
        ),
        named(
            "access_orcpt",
            Kind.INTEGER,
            "Bits: probes end with `|` and the original recipient (`rfc822;ann@example.org`): 1 of all tables for "
            "recipients, 2 ORIG_SEND_ACCESS, 4 SEND_ACCESS, 8 ORIG_MAIL_ACCESS, 16 MAIL_ACCESS.",
            "0",
            0,
            31,
        ),
        named(
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
