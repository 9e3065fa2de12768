"""Promises of the sections that say where mail comes in."""

import pytest

from jobctl.config.loader import load_text
from jobctl.config.settings import Settings
from jobctl.errors import ConfigError

HEAD = '[channel.l]\nofficial_host_name = "m.example"\n[channel.tcp_local]\n[channel.maildir]\n'


def load(text: str, *, files: bool = True) -> Settings:
    return load_text(
        f"{HEAD}[dispatcher.service.SMTP]\n{text}", "/etc/jobctl.toml", exists=lambda path: files
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
        ('listen = "tcp:25"\nimplicit_tls = true', "answered in clear"),
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


def test_tls_files_are_noted_and_must_be_there() -> None:
    """TLS and AUTH keys are accepted and noted until they act; a file that is not there is a mistake now."""
    text = 'listen = "tcp:0"\ntls_certificate = "cert.pem"\npassword_file = "users"\n'
    text += "plaintext_auth = true\nimplicit_tls = 0\n"
    notes = load(text).notes
    assert [note.key.rsplit(".", 1)[1] for note in notes] == [
        "tls_certificate",
        "password_file",
        "plaintext_auth",
    ]
    with pytest.raises(ConfigError) as caught:
        load(text, files=False)
    assert [problem.split(": ", 2)[2] for problem in caught.value.problems] == [
        "there is no file 'cert.pem'",
        "there is no file 'users'",
    ]
