"""Promises of the sections that say where mail comes in."""

import pytest

from jobctl.config.loader import load_text
from jobctl.config.settings import Settings
from jobctl.errors import ConfigError

HEAD = '[channel.l]\nofficial_host_name = "m.example"\n[channel.tcp_local]\n[channel.maildir]\n'


def load(text: str, *, files: bool = True, keyword: str = "nosmtp") -> Settings:
    smtp = "" if keyword in ("nosmtp", "smtp") else "smtp = true\n"
    head = HEAD.replace("[channel.tcp_local]\n", f"[channel.tcp_local]\n{keyword} = true\n{smtp}")
    return load_text(
        f"{head}[dispatcher.service.SMTP]\n{text}", "/etc/jobctl.toml", exists=lambda path: files
    )


@pytest.mark.parametrize(
    ("written", "listen"),
    [
        ('listen = "tcp:25"', ("tcp:25",)),
        (
            'listen = ["tcp:port=0:interface=127.0.0.1:backlog=5"]',
            ("tcp:port=0:interface=127.0.0.1:backlog=5",),
        ),
        ("listen = 'tcp6:25:interface=\\:\\:1'", ("tcp6:25:interface=\\:\\:1",)),
        ('listen = "unix:/run/x"', ("unix:/run/x",)),
        ('listen = "unix:var/x:mode=660"', ("unix:/etc/var/x:mode=660",)),
        ('listen = "unix:address=var/x"', ("unix:address=/etc/var/x",)),
        ('listen = "systemd:domain=INET:index=0"', ("systemd:domain=INET:index=0",)),
        ('listen = "systemd:domain=INET6:name=smtp"', ("systemd:domain=INET6:name=smtp",)),
        ('tcp_ports = "25 587"', ("tcp:25", "tcp:587")),
    ],
)
def test_listen_forms(written: str, listen: tuple[str, ...]) -> None:
    """A service listens on TCP, IPv6, a UNIX socket, or what systemd hands over; paths are the file's."""
    service = load(written).services["SMTP"]
    assert (service.listen, service.channel) == (listen, "tcp_local")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "needs listen"),
        ('listen = "tcp"', "give a port"),
        ('listen = "tcp:smtp"', "give a port"),
        ('listen = "tcp:70000"', "give a port"),
        ('listen = "tcp:25:interface=here"', "interface must be an IP address"),
        ('listen = "tcp6:25:interface=127.0.0.1"', "interface must be an IP address"),
        ('listen = "tcp:25:interfac=127.0.0.1"', "'interfac' is none of"),
        ('listen = "tcp:25:backlog=x"', "backlog must be a number"),
        ('listen = "unix:"', "give a path"),
        ('listen = "systemd:domain=X:index=0"', "domain must be"),
        ('listen = "systemd:domain=INET"', "index=NUMBER"),
        ('listen = "ssl:465"', "asks for TLS"),
        ('listen = "stdio:"', "is not one of tcp:PORT"),
        ('listen = "tcp:25"\ntcp_ports = 25', "not a list"),
        ('listen = "tcp:25"\ntcp_ports = "25"', "contradicts listen"),
        ('listen = "tcp:25"\nchannel = "tcp_locl"', "did you mean tcp_local?"),
        ('listen = "tcp:25"\nchannel = "maildir"', "no slave program"),
        ('listen = "tcp:25"\nrelay_from = "10.1.2.3/8"', "did you mean 10.0.0.0/8?"),
        ('listen = "tcp:25"\nrelay_from = "here"', "write a network"),
        ('listen = "tcp:25"\nimplicit_tls = true', "needs tls_certificate"),
        ('listen = "tcp:25"\nimplicit_tls = "yes"', "not true or false"),
        ('listen = "tcp:25"\nparameter = "CHANNEL=tcp_submit"', "write channel ="),
        ('listen = "tcp:25"\nmin_procs = 0', "at least 1"),
        ('listen = "tcp:25"\n[dispatcher.service.B]\nlisten = "tcp:25"', "already taken by service SMTP"),
    ],
)
def test_mistakes_are_told(text: str, word: str) -> None:
    """A service that could not start, or would be less safe than asked for, is refused with a way out."""
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert len(caught.value.problems) == 1
    assert word in caught.value.problems[0]


def test_files_must_be_there() -> None:
    """Files are named as seen from the configuration's; one that is not there is a mistake now, not later."""
    text = 'listen = "tcp:0"\ntls_certificate = "cert.pem"\npassword_file = "users"\n'
    loaded = load(text).services["SMTP"]
    assert (loaded.tls_certificate, loaded.password_file) == ("/etc/cert.pem", "/etc/users")
    with pytest.raises(ConfigError) as caught:
        load(text, files=False)
    assert [problem.split(": ", 2)[2] for problem in caught.value.problems] == [
        "there is no file 'cert.pem'",
        "there is no file 'users'",
    ]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (
            'introspection_client_file = "c"',
            "introspection_client_file: is of no use without introspection_url",
        ),
        (
            'auth_url = "http://a/"\nintrospection_user = "sub"',
            "introspection_user: is of no use without intro",
        ),
        (
            'pam_service = "x"\nauth_ca_file = "c"',
            "auth_ca_file: is of no use without auth_url or introspection_url",
        ),
        (
            'password_file = "u"\nauth_timeout = 3',
            "auth_timeout: is of no use without pam_service or auth_url or",
        ),
        (
            'pam_service = "x"\nauth_cache_time = 3',
            "auth_cache_time: is of no use without auth_url or intros",
        ),
        ('pam_service = "../x"', "pam_service: is the name of a file in /etc/pam.d"),
        ('pam_service = "."', "pam_service: is the name of a file in /etc/pam.d"),
        ('auth_url = "ldap://a/"', "auth_url: 'ldap://a/' is no URL of http or https"),
        ('auth_url = "https:///x"', "is no URL of http or https"),
        ('auth_url = "https://a:port/"', "is no URL"),
        ('auth_url = "https://[::1/"', "is no URL"),
        ('auth_url = "https://ann:pw@a/"', "secrets stand in files"),
        ('auth_url = "https://a/x#y"', "leave it away"),
        ('introspection_url = "https://a/x y"', "introspection_url: a URL has no blanks"),
    ],
)
def test_sources_that_make_no_sense(keys: str, problem: str) -> None:
    """Whoever asks for something that could not work is told by file, line and key."""
    with pytest.raises(ConfigError) as caught:
        load(f'listen = "tcp:0"\n{keys}\n', keyword="maysaslserver")
    (told,) = caught.value.problems
    line = int(told.split(":")[1])
    assert problem in told
    assert told.startswith("/etc/jobctl.toml:")
    assert line == 9 + keys.count("\n")


def test_secrets_in_the_clear_are_noted() -> None:
    """http is for verifiers on this host; elsewhere it is a note."""
    for url, noted in (("http://127.0.0.1:8080/", 0), ("http://localhost/", 0), ("http://auth.example/", 1)):
        text = f'listen = "tcp:0"\nplaintext_auth = true\nauth_url = "{url}"\n'
        notes = [note.text for note in load(text, keyword="maysaslserver").notes]
        assert len([text for text in notes if "sends secrets in the clear; write https" in text]) == noted


@pytest.mark.parametrize(
    ("keyword", "keys", "problem", "note"),
    [
        ("musttlsserver", "", "insists on TLS", ""),
        ("mustsaslserver", "", "insists on AUTH", ""),
        ("maytlsserver", "", "", "cannot offer STARTTLS"),
        ("maysaslserver", "", "", "cannot offer AUTH"),
        ("mustsaslserver", 'pam_service = "smtp"\ntls_certificate = "c"\nimplicit_tls = true', "", ""),
        ("smtp", 'tls_certificate = "c"', "", "neither maytlsserver nor musttlsserver"),
        ("smtp", 'tls_certificate = "c"\nimplicit_tls = true', "", ""),
        ("maytlsserver", 'tls_certificate = "c"', "", ""),
        ("smtp", 'relay_from = ["192.0.2.0/24", "0.0.0.0/0"]', "", "open relay"),
        ("smtp", 'relay_from = ["::/0"]', "", "open relay"),
        ("smtp", 'relay_from = ["10.0.0.0/8", "2001:db8::/32"]', "", ""),
        ("mustsaslserver", 'introspection_url = "https://a.example/i"\nplaintext_auth = true', "", ""),
        ("mustsaslserver", 'auth_url = "https://a.example/"', "", "not without tls_certificate or"),
        (
            "nosaslserver",
            'auth_url = "https://a.example/"\ntls_certificate = "c"\nimplicit_tls = true',
            "",
            "is not used",
        ),
        ("nosasl", 'pam_service = "smtp"\npassword_file = "u"', "contradicts password_file", ""),
        ("nosasl", 'auth_url = "https://a.example/"\npam_service = "smtp"', "contradicts pam_service", ""),
        ("nosaslserver", 'password_file = "users"', "", "is not used"),
        ("mustsaslserver", 'password_file = "users"', "", ""),
        ("notls", 'tls_private_key = "key.pem"', "of no use without tls_certificate", ""),
    ],
)
def test_what_a_channel_promises_can_be_kept(keyword: str, keys: str, problem: str, note: str) -> None:
    """A channel that insists on TLS or AUTH needs a certificate or users; one that would like to is noted."""
    text = f'listen = "tcp:0"\n{keys}\n'
    if problem:
        with pytest.raises(ConfigError, match=problem):
            load(text, keyword=keyword)
    else:
        texts = [found.text for found in load(text, keyword=keyword).notes]
        assert [note in text for text in texts] == ([True] if note else [])


@pytest.mark.parametrize(
    ("other", "keys", "problem"),
    [
        ("musttlsserver = true", "", "channel tcp_in, which clients can be switched to, insists on TLS"),
        ("mustsaslserver = true", "", "insists on AUTH; or give tcp_in noswitchchannel"),
        ("mustsaslserver = true\nnoswitchchannel = true", "", ""),
        ("mustsaslserver = true", 'password_file = "users"', ""),
    ],
)
def test_what_a_client_can_be_switched_to_can_be_kept(other: str, keys: str, problem: str) -> None:
    """Nobody is switched, by an address, to where no mail could be taken."""
    text = f'listen = "tcp:0"\n{keys}\n[channel.tcp_in]\nslave_command = ["x"]\n{other}\n'
    if problem:
        with pytest.raises(ConfigError, match=problem):
            load(text, keyword="switchchannel")
    else:
        assert load(text, keyword="switchchannel").channels["tcp_in"].slave_command == ("x",)


def test_users_of_a_channel_that_tls_leads_to() -> None:
    """A password file is of use where only the channel after TLS offers AUTH."""
    text = 'listen = "tcp:0"\npassword_file = "users"\n[channel.tcp_tls]\nmaysaslserver = true\n'
    with_switch = load(text, keyword='tlsswitchchannel = "tcp_tls"\n#')
    assert [note.text for note in with_switch.notes] == []


def test_submissions_from_nobody() -> None:
    """A channel for submissions that nobody could use is a mistake."""
    with pytest.raises(ConfigError, match="takes mail from nobody"):
        load('listen = "tcp:0"', keyword="submit")
    assert load('listen = "tcp:0"\nrelay_from = ["::1"]', keyword="submit").channels["tcp_local"].submit


GENERIC = """
[channel.l]
official_host_name = "m.example"
[channel.test_smtp_in]
transport = "tcp"
[dispatcher.service.SMTP]
listen = ["tcp:25"]
channel = "test_smtp_in"
"""


def test_what_programs_on_a_pipe_cannot_do() -> None:
    """There is a program for each connection, so their number cannot be chosen; all else acts for them, too."""
    found = load_text(
        f'{GENERIC}proxy_from = ["192.0.2.1"]\nxclient_from = ["192.0.2.1"]\n'
        "max_conns_per_address = 5\nmin_procs = 2\n",
        "jobctl.toml",
    )
    assert [note.key.rpartition(".")[2] for note in found.notes] == ["min_procs"]
    assert "run on a pipe" in found.notes[0].text


@pytest.mark.parametrize(
    ("keyword", "defaults", "noted"),
    [
        ("", "", True),
        ("smtp = true", "", False),
        ("SMTP_CRLF = true", "", False),
        ("smtp_crorlf = true", "", False),
        ("", "smtp_lf = true", False),
        ("", "smtp_crorlf = true", False),
    ],
)
def test_line_ends_that_nobody_chose(keyword: str, defaults: str, noted: bool) -> None:
    """That bare CR and LF are made CRLF is noted for a channel that mail comes in by, unless a keyword says so."""
    text = HEAD.replace("[channel.tcp_local]\n", f"[channel.tcp_local]\n{keyword}\n[channel.tcp_out]\n")
    service = '[dispatcher.service.{}]\nlisten = "tcp:{}"\n'
    found = load_text(
        f"[defaults]\n{defaults}\n{text}{service.format('A', 1)}{service.format('B', 2)}", "/etc/jobctl.toml"
    )
    assert [(note.key, note.line) for note in found.notes] == ([("channel.tcp_local", 5)] if noted else [])
    assert all("write smtp = true to have them refused" in note.text for note in found.notes)
