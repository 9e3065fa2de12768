"""Channel keywords: protocol, next hop and DNS (channels reference 2.1)."""

from jobctl.config.keys import Key, Kind
from jobctl.config.keyword_forms import flag, flags, inert, inert_flags, valued

_NO_IDENT = "clients' IDENT servers are not asked"

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
    valued(
        "sourceaddresses",
        Kind.WORDS,
        "Addresses that connections come from in turn, each with the name it greets with: "
        "`192.0.2.1=out1.example.net`.",
        field="sourceaddresses",
        low=1,
        default="interfaceaddress",
    ),
    flag(
        "privateaddresses",
        "Names in the DNS may lead to private addresses.",
        field="private",
        value=True,
        groups=("private",),
        default="off on port 25 without daemon, else on",
    ),
    flag(
        "noprivateaddresses",
        "Names in the DNS never lead to private addresses.",
        field="private",
        value=False,
        groups=("private",),
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
        "pipelining is used exactly where the peer offers PIPELINING: others may lose what comes unasked",
        low=0,
        high=3,
        default="0",
        source="AG63",
    ),
    flag(
        "chunkingclient",
        "Send with BDAT where CHUNKING is offered.",
        groups=("chunkingclient",),
        default="on",
    ),
    flag("chunkingserver", "Offer CHUNKING.", groups=("chunkingserver",), default="on"),
    flag("nochunkingclient", "Never send BDAT.", groups=("chunkingclient",)),
    flag("nochunkingserver", "Do not offer CHUNKING.", groups=("chunkingserver",)),
    flag(
        "loopcheck",
        "A next hop whose XLOOP is our own is no next hop: mail goes back.",
        groups=("loopcheck",),
    ),
    flag("noloopcheck", "Do not compare XLOOP.", groups=("loopcheck",), default="on"),
    flag("allowetrn", "Honour ETRN; tell which channel is run, and how much waits.", groups=("etrn",)),
    flag("silentetrn", "Honour ETRN and tell nothing.", groups=("etrn",), default="on"),
    flag("domainetrn", "As silentetrn, with a domain only.", groups=("etrn",)),
    flag("disableetrn", "Do not offer ETRN.", groups=("etrn",)),
    flag("blocketrn", "ETRN may not run this channel."),
    valued("sendetrn", Kind.HOST, "Send ETRN for this host where it is offered.", groups=("sendetrn",)),
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
    flag("forwardchecktag", "A reverse name that does not verify gets a `*`.", groups=("forwardcheck",)),
    flag("forwardcheckdelete", "A reverse name that does not verify is dropped.", groups=("forwardcheck",)),
    flag("mailfromdnsverify", "Refuse senders whose domain is not in the DNS.", groups=("mailfromdns",)),
    flag("nomailfromdnsverify", "Sender domains are not looked up.", groups=("mailfromdns",), default="on"),
)
