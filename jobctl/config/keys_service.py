"""Keys of ``[dispatcher.service.X]``."""

from jobctl.config.keys import Key, KeyTable, Kind, Status
from jobctl.config.keyword_forms import inert, named

SERVICE = KeyTable(
    "key of a service",
    (
        named(
            "listen",
            Kind.WORDS,
            "Where it listens: `tcp:2525:interface=127.0.0.1`, `tcp6:`, `unix:`, `systemd:`.",
        ),
        named(
            "tcp_ports", Kind.WORDS, "Port numbers to listen on, in place of listen.", aliases=("tcp_port",)
        ),
        named("channel", Kind.TEXT, "Source channel of what comes in.", "tcp_local"),
        named("relay_from", Kind.NETWORKS, "Networks that may send to domains that are not ours."),
        named("min_procs", Kind.INTEGER, "Server programs that share the port.", "1", 1, 1000),
        named("max_conns", Kind.INTEGER, "Most connections of one program.", "1000", 1, 1_000_000),
        named("backlog", Kind.INTEGER, "Connections the system keeps waiting.", "1024", 1, 65535),
        named(
            "max_conns_per_address", Kind.INTEGER, "Most connections of one client address.", "no limit", 1
        ),
        named(
            "proxy_from",
            Kind.NETWORKS,
            "Front ends that begin each connection with a PROXY header; nothing of others is believed.",
        ),
        named("xclient_from", Kind.NETWORKS, "Clients that may say by XCLIENT for whom they speak."),
        named("tls_certificate", Kind.TEXT, "Certificate chain (PEM), relative to this file."),
        named("tls_private_key", Kind.TEXT, "Private key (PEM).", "the certificate's file"),
        named(
            "tls_client_ca",
            Kind.TEXT,
            "Authorities (PEM) whose certificates authenticate clients.",
            "clients are not asked for certificates",
        ),
        named("implicit_tls", Kind.SWITCH, "TLS from the first octet, as on port 465.", "false"),
        named("password_file", Kind.TEXT, "Users for AUTH: `name:hash` lines, made by `jobctl passwd`."),
        named("pam_service", Kind.TEXT, "PAM service that checks passwords, in place of password_file."),
        named(
            "auth_url",
            Kind.TEXT,
            "Page that checks passwords, in place of password_file: asked with HTTP Basic, it answers 200 or 401.",
        ),
        named(
            "introspection_url",
            Kind.TEXT,
            "Token introspection endpoint (RFC 7662) for XOAUTH2 and OAUTHBEARER.",
        ),
        named(
            "introspection_client_file",
            Kind.TEXT,
            "File whose first line says who we are there: `id:secret`, or a bearer token.",
        ),
        named("introspection_user", Kind.TEXT, "Member of its answer that has the user's name.", "username"),
        named(
            "auth_ca_file",
            Kind.TEXT,
            "Authorities (PEM) for https of auth_url and introspection_url.",
            "those of the system",
        ),
        named(
            "auth_timeout",
            Kind.SECONDS,
            "Seconds that PAM, auth_url or introspection_url may take.",
            "20",
            1,
            240,
        ),
        named(
            "auth_cache_time",
            Kind.SECONDS,
            "Seconds for which a yes of auth_url or introspection_url is believed; 0: not at all.",
            "60",
            0,
            3600,
        ),
        named(
            "plaintext_auth", Kind.SWITCH, "AUTH PLAIN, LOGIN, XOAUTH2 and OAUTHBEARER without TLS.", "false"
        ),
        inert("max_procs", Kind.INTEGER, "Most server programs.", "min_procs programs share the port"),
        inert("image", Kind.TEXT, "Server program.", "slave_command of the channel's class runs"),
        inert("logfile", Kind.TEXT, "Log file.", "the log lies in log_directory", aliases=("logfilename",)),
        Key(
            name="parameter",
            kind=Kind.TEXT,
            sentence="Parameters of the server program.",
            status=Status.REFUSED,
            reason='mail would come in by another channel; write channel = "NAME" instead of CHANNEL=NAME',
        ),
    ),
)
