"""Channel keywords: TLS, authentication, change of the source channel, filters (channels reference 1.6, 2.2)."""

from jobctl.config.keys import Key, Kind
from jobctl.config.keyword_forms import flag, flags, inert, refused, valued

# What tls_policy can be, of a channel and of a destination; and what it cannot be yet.
POLICIES = ("none", "may", "must", "verify")
LATER = dict.fromkeys(
    ("dane", "mta-sts"), "mail would go out without what it promises, because it is not there yet; use verify"
)
_NO_USERS = "users have no attributes here: there is no directory; use saslswitchchannel"
_PROBED = "the table AUTH_REWRITE is not asked; use 1 or 2"
_FALSE_FROM = "it would put words into somebody's mouth; use 1 or 2, which give the Sender"

SECURITY: tuple[Key, ...] = (
    flag(
        "notls",
        "No TLS in either direction.",
        groups=("tlsclient", "tlsserver"),
        default="on",
        source="W:Maytls",
    ),
    flag("notlsclient", "STARTTLS is not sent.", groups=("tlsclient",), default="on"),
    flag("notlsserver", "STARTTLS is not offered.", groups=("tlsserver",), default="on"),
    flag("maytls", "Use TLS where offered, and offer it.", groups=("tlsclient", "tlsserver")),
    flag("maytlsclient", "Use TLS where offered.", groups=("tlsclient",)),
    flag("maytlsserver", "Offer STARTTLS.", groups=("tlsserver",)),
    flag("musttls", "Insist on TLS in both directions.", groups=("tlsclient", "tlsserver")),
    flag("musttlsclient", "Send only over TLS.", groups=("tlsclient",)),
    flag("musttlsserver", "Take mail only over TLS.", groups=("tlsserver",)),
    Key(
        name="tls_policy",
        kind=Kind.CHOICE,
        sentence="TLS towards the next hop: not at all, where offered, always, or only to a host whose "
        "certificate proves its name. `[tls_policy]` can say otherwise of a destination.",
        default="none",
        choices=(*POLICIES, *LATER),
        groups=("tlsclient",),
        field="tls_policy",
        refused=LATER,
    ),
    Key(
        name="implicit_tls",
        kind=Kind.SWITCH,
        sentence="The next hop begins with TLS at once, as on port 465.",
        default="false",
        field="implicit_tls",
    ),
    valued(
        "tls_ca_file", Kind.TEXT, "Trust anchors (PEM).", field="tls_ca_file", default="those of the system"
    ),
    valued(
        "tls_server_name", Kind.HOST, "Name to verify instead of the next hop's.", field="tls_server_name"
    ),
    valued("tlsswitchchannel", Kind.TEXT, "Source channel after STARTTLS.", field="tlsswitchchannel"),
    flag("maysasl", "AUTH in both directions, where possible.", groups=("saslclient", "saslserver")),
    flag("maysaslserver", "Offer AUTH.", groups=("saslserver",)),
    flag("maysaslclient", "Use AUTH where offered.", groups=("saslclient",)),
    flag("mustsasl", "Insist on AUTH in both directions.", groups=("saslclient", "saslserver")),
    flag("mustsaslserver", "Take mail only after AUTH.", groups=("saslserver",)),
    flag("mustsaslclient", "Send only after AUTH.", groups=("saslclient",)),
    flag("nosasl", "No AUTH in either direction.", groups=("saslclient", "saslserver"), default="on"),
    flag("nosaslserver", "AUTH is not offered.", groups=("saslserver",), default="on"),
    flag("nosaslclient", "AUTH is not used.", groups=("saslclient",), default="on"),
    valued(
        "saslswitchchannel",
        Kind.TEXT,
        "Source channel after AUTH.",
        field="saslswitchchannel",
        groups=("saslswitch",),
    ),
    flag(
        "nosaslswitchchannel",
        "AUTH does not switch channels.",
        field="saslswitchchannel",
        groups=("saslswitch",),
        default="on",
    ),
    inert(
        "userswitchchannel",
        Kind.TEXT,
        "Source channel by the authenticated user.",
        _NO_USERS,
        groups=("userswitch",),
    ),
    valued(
        "disconnectbadauthlimit",
        Kind.INTEGER,
        "Failed AUTHs before the connection is closed.",
        field="disconnectbadauthlimit",
        low=1,
        default="3",
    ),
    Key(
        name="authrewrite",
        kind=Kind.INTEGER,
        sentence="Who has authenticated goes into the header where From: names somebody else: 1 as Sender:, or as "
        "Resent-Sender: of what is sent again; 2 as Sender: always; 0 not at all.",
        default="0",
        low=0,
        high=6,
        field="authrewrite",
        source="W:Authrewrite",
        refused={"3": _PROBED, "4": _PROBED, "5": _FALSE_FROM, "6": _FALSE_FROM},
    ),
    flag(
        "submit",
        "Takes submissions: only after AUTH or from relay_from; a missing Date: or Message-ID: is added.",
        field="submit",
        value=True,
    ),
    valued("auth_username", Kind.TEXT, "User at the gateway.", field="auth_username"),
    valued(
        "auth_password_file",
        Kind.TEXT,
        "File whose first line is the password, or the bearer token, at the gateway; relative to this file.",
        field="auth_password_file",
    ),
    Key(
        name="auth_mechanism",
        kind=Kind.CHOICE,
        sentence="SASL mechanism at the gateway; `auto` is the best that both sides have, without tokens.",
        default="auto",
        choices=("auto", "scram-sha-256-plus", "scram-sha-256", "plain", "login", "xoauth2", "oauthbearer"),
        field="auth_mechanism",
    ),
    *flags(
        "switchchannel",
        "switchchannel",
        {
            "switchchannel": (
                "switchchannel",
                "The client's address or name may choose another source channel, which may be this one.",
            ),
            "allowswitchchannel": ("allowswitchchannel", "It may choose this channel."),
            "noswitchchannel": ("noswitchchannel", "It chooses neither another channel nor this one."),
        },
        default="allowswitchchannel",
        source="AG63 bgant",
    ),
    refused(
        "sourcefilter",
        Kind.TEXT,
        "Sieve filter for mail from this channel.",
        "mail would pass unfiltered, because there are no Sieve filters; remove it",
    ),
    refused(
        "destinationfilter",
        Kind.TEXT,
        "Sieve filter for mail to this channel.",
        "mail would pass unfiltered, because there are no Sieve filters; remove it",
    ),
)
