"""Channel keywords: protocol, next hop, DNS, TLS and authentication (channels reference 2.1, 2.2)."""

from jobctl.config.keys import Key, Kind
from jobctl.config.keyword_forms import flag, flags, inert, inert_flags, refused, refused_flags, valued

_NO_ETRN = "ETRN starts nothing yet: it is answered with 458"
_NO_IDENT = "clients' IDENT servers are not asked"
_NO_FORWARD = "reverse names are not verified by a forward look-up yet"
_CLEAR = "mail would go over the network unencrypted, because TLS is not there yet; remove it or wait for TLS"
_NO_TLS = "TLS is not there yet; connections are not encrypted"
_NO_AUTH = "AUTH is not there yet"
_UNAUTHENTICATED = "mail would pass without authentication, because AUTH is not there yet; remove it"

PROTOCOL: tuple[Key, ...] = (
    *flags(
        "smtp",
        "smtp",
        {
            "smtp": ("crlf", "Speaks SMTP; only CRLF ends a line."),
            "smtp_crorlf": ("crorlf", "Speaks SMTP; CR, LF and CRLF each end a line that comes in."),
            "smtp_lf": ("lf", "Speaks SMTP; a bare LF also ends a line that comes in."),
            "smtp_cr": ("cr", "Speaks SMTP; a bare CR also ends a line that comes in."),
            "nosmtp": ("nosmtp", "Does not speak SMTP."),
        },
        default="nosmtp; `tcp_*` without any: smtp_crorlf; with a `transport`: smtp",
        source="W:Smtp,_smtp_cr",
        aliases={"smtp": ("smtp_crlf",)},
    ),
    flag("lmtp", "The next hop, or the client, speaks LMTP.", field="lmtp", value=True, default="off"),
    valued(
        "daemon",
        Kind.DAEMON,
        "Connect to this host (full name or `[address]`) for every recipient; "
        "any other word (`router`) means the channel's official_host_name.",
        source="W:Daemon_Channel_Option",
    ),
    *flags(
        "mx",
        "mx",
        {
            "mx": ("nonrandommx", "MX records, hosts of equal preference in the order received."),
            "randommx": ("randommx", "MX records, hosts of equal preference shuffled."),
            "nomx": ("nomx", "Address records only."),
            "defaultmx": ("defaultmx", "MX records, shuffled, where the port is 25; else address records."),
            "nodns": ("nodns", "No DNS: the system's own host table."),
        },
        default="defaultmx",
        source="W:Mx,_nomx",
        aliases={"mx": ("nonrandommx",)},
    ),
    valued(
        "nameservers",
        Kind.ADDRESSES,
        "Name servers asked for this channel.",
        field="nameservers",
        groups=("nameservers",),
    ),
    flag(
        "defaultnameservers",
        "The system's name servers are asked.",
        field="nameservers",
        value=(),
        groups=("nameservers",),
        default="on",
    ),
    valued(
        "lastresort",
        Kind.HOST,
        "Tried when connecting to all other hosts failed temporarily.",
        field="lastresort",
        source="W:Lastresort_Channel_Option",
    ),
    valued("port", Kind.INTEGER, "Port to connect to.", field="port", low=1, high=65535, default="25"),
    valued(
        "interfaceaddress",
        Kind.ADDRESS,
        "Address that connections come from.",
        field="interfaceaddress",
        default="any",
    ),
    *flags(
        "ehlo",
        "ehlo",
        {
            "ehlo": ("ehlo", "Greet with EHLO always."),
            "checkehlo": ("checkehlo", 'Greet with EHLO where the banner has "ESMTP", else with HELO.'),
            "noehlo": ("noehlo", "Greet with HELO always."),
        },
        default='EHLO, unless the banner says "fire away"',
        source="AG63 bgamy",
    ),
    flag(
        "refuseehlo", "The server answers EHLO with an error.", field="refuseehlo", value=True, default="off"
    ),
    inert(
        "streaming",
        Kind.INTEGER,
        "Pipelining without negotiation, 0 to 3.",
        "pipelining is used exactly where the peer offers PIPELINING",
        low=0,
        high=3,
        default="0",
        source="AG63",
    ),
    *inert_flags(
        "CHUNKING (BDAT) is not spoken yet",
        {"chunkingclient": "Send content with BDAT.", "chunkingserver": "Offer CHUNKING."},
        groups={"chunkingclient": ("chunkingclient",), "chunkingserver": ("chunkingserver",)},
    ),
    flag("nochunkingclient", "Never send BDAT.", groups=("chunkingclient",), default="on"),
    flag("nochunkingserver", "Do not offer CHUNKING.", groups=("chunkingserver",), default="on"),
    *inert_flags(
        "XLOOP is not offered yet", {"loopcheck": "Recognise ourselves by XLOOP."}, group="loopcheck"
    ),
    flag("noloopcheck", "Do not compare XLOOP.", groups=("loopcheck",), default="on"),
    *inert_flags(
        _NO_ETRN,
        {
            "allowetrn": "Honour ETRN and name the channel.",
            "silentetrn": "Honour ETRN without naming the channel.",
            "domainetrn": "Honour ETRN with a domain only.",
        },
        group="etrn",
    ),
    flag("disableetrn", "Do not offer ETRN.", groups=("etrn",)),
    *inert_flags(_NO_ETRN, {"blocketrn": "ETRN may not run this channel."}),
    inert("sendetrn", Kind.HOST, "Send ETRN for this host.", "ETRN is not sent yet", groups=("sendetrn",)),
    flag("nosendetrn", "Do not send ETRN.", groups=("sendetrn",), default="on"),
    flag("identnone", "Reverse look-up; name and address in Received:.", groups=("ident",), default="on"),
    flag("identnonelimited", "As identnone; the name does not switch channels.", groups=("ident",)),
    flag("identnonenumeric", "No reverse look-up; only the address in Received:.", groups=("ident",)),
    flag("identnonesymbolic", "Reverse look-up; only the name in Received:.", groups=("ident",)),
    *inert_flags(
        _NO_IDENT,
        {
            "identtcp": "Ask the client's IDENT server (RFC 1413).",
            "identtcplimited": "As identtcp; the name does not switch channels.",
            "identtcpnumeric": "As identtcp, without a reverse look-up.",
            "identtcpsymbolic": "As identtcp, only the name in Received:.",
        },
        group="ident",
    ),
    flag("forwardchecknone", "The reverse name is not verified.", groups=("forwardcheck",), default="on"),
    *inert_flags(
        _NO_FORWARD,
        {
            "forwardchecktag": "Mark a reverse name that does not verify.",
            "forwardcheckdelete": "Drop such a name.",
        },
        group="forwardcheck",
    ),
    *inert_flags(
        "sender domains are not looked up yet",
        {"mailfromdnsverify": "Refuse senders whose domain is not in the DNS."},
        group="mailfromdns",
    ),
    flag("nomailfromdnsverify", "Sender domains are not looked up.", groups=("mailfromdns",), default="on"),
)

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
    *inert_flags(
        _NO_TLS,
        {
            "maytls": "Use TLS where offered, and offer it.",
            "maytlsclient": "Use TLS where offered.",
            "maytlsserver": "Offer STARTTLS.",
        },
        groups={
            "maytls": ("tlsclient", "tlsserver"),
            "maytlsclient": ("tlsclient",),
            "maytlsserver": ("tlsserver",),
        },
    ),
    *refused_flags(
        _CLEAR,
        {
            "musttls": "Insist on TLS in both directions.",
            "musttlsclient": "Send only over TLS.",
            "musttlsserver": "Take mail only over TLS.",
        },
        groups={
            "musttls": ("tlsclient", "tlsserver"),
            "musttlsclient": ("tlsclient",),
            "musttlsserver": ("tlsserver",),
        },
    ),
    Key(
        name="tls_policy",
        kind=Kind.CHOICE,
        sentence="TLS towards the next hop.",
        default="none",
        choices=("none", "may", "must", "verify", "dane", "mta-sts"),
        groups=("tlsclient",),
        inert={"may": _NO_TLS},
        refused=dict.fromkeys(("must", "verify", "dane", "mta-sts"), _CLEAR),
    ),
    inert("tls_ca_file", Kind.TEXT, "Trust anchors (PEM).", _NO_TLS),
    inert("tls_server_name", Kind.HOST, "Name to verify instead of the next hop's.", _NO_TLS),
    inert("tlsswitchchannel", Kind.TEXT, "Source channel after STARTTLS.", _NO_TLS),
    *inert_flags(
        _NO_AUTH,
        {
            "maysasl": "AUTH in both directions.",
            "maysaslserver": "Offer AUTH.",
            "maysaslclient": "Use AUTH where offered.",
        },
        groups={
            "maysasl": ("saslclient", "saslserver"),
            "maysaslserver": ("saslserver",),
            "maysaslclient": ("saslclient",),
        },
    ),
    *refused_flags(
        _UNAUTHENTICATED,
        {
            "mustsasl": "Insist on AUTH in both directions.",
            "mustsaslserver": "Take mail only after AUTH.",
            "mustsaslclient": "Send only after AUTH.",
        },
        groups={
            "mustsasl": ("saslclient", "saslserver"),
            "mustsaslserver": ("saslserver",),
            "mustsaslclient": ("saslclient",),
        },
    ),
    flag("nosasl", "No AUTH in either direction.", groups=("saslclient", "saslserver"), default="on"),
    flag("nosaslserver", "AUTH is not offered.", groups=("saslserver",), default="on"),
    flag("nosaslclient", "AUTH is not used.", groups=("saslclient",), default="on"),
    inert("saslswitchchannel", Kind.TEXT, "Source channel after AUTH.", _NO_AUTH, groups=("saslswitch",)),
    flag("nosaslswitchchannel", "AUTH does not switch channels.", groups=("saslswitch",), default="on"),
    inert(
        "userswitchchannel",
        Kind.TEXT,
        "Source channel by the authenticated user.",
        _NO_AUTH,
        groups=("userswitch",),
    ),
    inert(
        "disconnectbadauthlimit",
        Kind.INTEGER,
        "Failed AUTHs before the connection is closed.",
        _NO_AUTH,
        low=0,
    ),
    inert("authrewrite", Kind.INTEGER, "The authenticated sender goes into the header.", _NO_AUTH, low=0),
    inert("auth_username", Kind.TEXT, "User at the gateway.", _NO_AUTH),
    inert("auth_password_file", Kind.TEXT, "File with the password at the gateway.", _NO_AUTH),
    *inert_flags(
        "the source channel is always that of the service",
        {
            "switchchannel": "The client's address may choose another source channel.",
            "allowswitchchannel": "Others may switch to this channel.",
        },
        group="switchchannel",
    ),
    flag(
        "noswitchchannel",
        "Neither switches to another channel nor is switched to.",
        groups=("switchchannel",),
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
