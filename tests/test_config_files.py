"""Promises about whole files: the one of the manual, the embedded one, and files with mistakes."""

import os
from pathlib import Path

import msgspec
import pytest

from jobctl.config.loader import DEFAULT, load, load_default, load_text
from jobctl.config.settings import DEFAULT_BACKOFF, DEFAULT_NOTICES, ChannelSettings, Settings
from jobctl.errors import ConfigError

# The example of the design, letter for letter: people were promised that it works as it stands.
EXAMPLE = """\
[job_controller]
queue_directory = "var/queue"             # relative to this file
control_socket  = "var/control.sock"
log_directory   = "var/log"
max_cache_messages = 100000

[job_controller.job_pool.DEFAULT]
job_limit = 10
[job_controller.job_pool.SMTP_POOL]
job_limit = 10

[job_controller.channel_class."tcp_*"]
master_command = "tcp_smtp_client"
slave_command  = "tcp_smtp_server"
[job_controller.channel_class."test_smtp*"]
master_command = "test_smtp_master"
slave_command  = "test_smtp_slave"
transport = "tcp"

[dispatcher.service.SMTP]
listen  = ["tcp:2525:interface=127.0.0.1"]   # Twisted endpoint strings
channel = "tcp_local"
relay_from = ["127.0.0.0/8", "::1"]          # who may send to domains that are not ours

[channel.l]
official_host_name = "mail.example.org"      # the name of this host
[channel.tcp_local]
official_host_name = "tcp-daemon"
smtp = true                                  # a keyword without a value is true
mx = true
pool = "SMTP_POOL"
maxjobs = 7
[channel.test_smtp_gateway]
official_host_name = "gateway.example.net"
smtp = true
daemon = "[127.0.0.1]"
port = 2526
backoff = ["PT1M", "PT5M", "PT1H"]
notices = [1, 2, 4, 7]
options = { ATTEMPT_TRANSACTIONS_PER_SESSION = 1000, TIMEOUT_MULTIPLIER = 1 }

[rewrite]                                    # most specific first, as in the reference
"partner.example" = "test_smtp_gateway"      # a channel, or a template: "$U%$D@tcp-daemon"
"." = "tcp_local"
"""
SMALL = '[channel.l]\nofficial_host_name = "mail.example.org"\n'


def problems_of(text: str, **how: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, "/etc/jobctl.toml", **how)  # type: ignore[arg-type]
    return caught.value.problems


def test_the_example_of_the_manual_works_as_it_stands() -> None:
    """The configuration that the manual shows gives exactly what it says, without a note."""
    settings = load_text(EXAMPLE, "/etc/jobctl/jobctl.toml")
    assert settings.controller.queue_directory == "/etc/jobctl/var/queue"
    assert settings.controller.control_socket == "/etc/jobctl/var/control.sock"
    assert settings.local_host == "mail.example.org"
    assert {name: pool.job_limit for name, pool in settings.pools.items()} == {"DEFAULT": 10, "SMTP_POOL": 10}
    service = settings.services["SMTP"]
    assert (service.channel, service.listen) == ("tcp_local", ("tcp:2525:interface=127.0.0.1",))
    assert service.relay_from == ("127.0.0.0/8", "::1/128")
    tcp = settings.channels["tcp_local"]
    assert (tcp.smtp, tcp.mx, tcp.pool, tcp.maxjobs, tcp.copies) == (
        "crlf",
        "nonrandommx",
        "SMTP_POOL",
        7,
        "single_sys",
    )
    assert (tcp.master_command, tcp.slave_command) == (("tcp_smtp_client",), ("tcp_smtp_server",))
    assert tcp.backoff == DEFAULT_BACKOFF
    assert tcp.notices["normal"] == DEFAULT_NOTICES
    gateway = settings.channels["test_smtp_gateway"]
    assert (gateway.gateway, gateway.port, gateway.copies) == ("[127.0.0.1]", 2526, "multiple")
    assert (gateway.transport, gateway.local_host) == ("tcp", "mail.example.org")
    assert gateway.backoff == dict.fromkeys(("urgent", "normal", "nonurgent"), (60.0, 300.0, 3600.0))
    assert gateway.notices["urgent"] == tuple(86400.0 * day for day in (1, 2, 4, 7))
    assert gateway.options.attempt_transactions_per_session == 1000
    assert gateway.options.seconds("command_receive_time") == 10
    assert [(rule.pattern, rule.template, rule.line) for rule in settings.rules] == [
        ("partner.example", "test_smtp_gateway", 43),
        (".", "tcp_local", 44),
    ]
    assert settings.notes == ()


def test_almost_nothing_needs_to_be_written(tmp_path: Path) -> None:
    """The name of this host is enough: the rest has defaults, an empty [job_controller] too."""
    file = tmp_path / "jobctl.toml"
    file.write_text(
        SMALL + "[job_controller]\n[channel.tcp_local]\n[channel.test_smtp_x]\n[channel.maildir]\n"
    )
    settings = load(str(file))
    assert settings.controller.queue_directory == str(tmp_path / "var/queue")
    assert list(settings.pools) == ["DEFAULT", "SMTP_POOL"]
    tcp = settings.channels["tcp_local"]
    assert (tcp.official_host_name, tcp.smtp, tcp.pool) == ("tcp_local.mail.example.org", "crorlf", "DEFAULT")
    assert tcp.master_command == ("tcp_smtp_client",)
    assert settings.channels["test_smtp_x"].transport == "tcp"
    assert settings.channels["maildir"].master_command == ("maildir_master",)


def test_the_embedded_configuration_needs_no_network(tmp_path: Path) -> None:
    """Without a file all lies under the current directory, and the generic channel is joined back to back."""
    settings = load_default(str(tmp_path))
    assert settings.notes == ()
    assert settings.controller.queue_directory == str(tmp_path / "var/queue")
    assert settings.services["SMTP"].listen == ("tcp:2525:interface=127.0.0.1",)
    assert settings.channels["maildir"].maildir == str(tmp_path / "var/Maildir")
    gateway = settings.channels["test_smtp_gateway"]
    assert (gateway.transport, gateway.gateway) == ("channel:test_smtp_in", "gateway.example.net")
    incoming = settings.channels["test_smtp_in"]
    assert (incoming.master_command, incoming.slave_command) == ((), ("test_smtp_slave",))


def test_the_embedded_configuration_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is told the embedded file by its path finds the queue where the controller has it."""
    monkeypatch.chdir(tmp_path)
    assert load(DEFAULT) == load_default(os.getcwd())


def test_settings_travel_as_json() -> None:
    """A channel's settings reach its programs unchanged, as JSON."""
    for settings in (load_text(EXAMPLE, "/x"), load_default("/x")):
        for channel in settings.channels.values():
            assert msgspec.json.decode(msgspec.json.encode(channel), type=ChannelSettings) == channel
        assert msgspec.json.decode(msgspec.json.encode(settings), type=Settings) == settings


def test_all_mistakes_are_told_at_once_with_their_places() -> None:
    """Every mistake names file, line and key and says what to do; one does not hide another."""
    text = """\
[job_controler]
[job_controller]
queue_directory = 7
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_local]
smpt = true
port = 70000
maxjobs = "many"
options = { BANER_HOST = "x", HIDE_VERIFY = 2 }
[rewrite]
"x.example" = "tcp_locl"
"""
    found = problems_of(text)
    assert [problem.split(": ", 2)[:2] for problem in found] == [
        ["/etc/jobctl.toml:1", "job_controler"],
        ["/etc/jobctl.toml:3", "job_controller.queue_directory"],
        ["/etc/jobctl.toml:7", "channel.tcp_local.smpt"],
        ["/etc/jobctl.toml:8", "channel.tcp_local.port"],
        ["/etc/jobctl.toml:9", "channel.tcp_local.maxjobs"],
        ["/etc/jobctl.toml:10", "channel.tcp_local.options.BANER_HOST"],
        ["/etc/jobctl.toml:10", "channel.tcp_local.options.HIDE_VERIFY"],
        ["/etc/jobctl.toml:12", 'rewrite."x.example"'],
    ]
    assert "did you mean job_controller?" in found[0]
    assert "did you mean smtp?" in found[2]
    assert "at most 65535" in found[3]
    assert "did you mean BANNER_HOST?" in found[5]
    assert "did you mean tcp_local?" in found[7]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = 1\nb = = 2\n", ":2: (syntax): "),
        ("[channel.l\nx = 1", ":1: (syntax): "),
        ("a = 1\na = 2\n", ":2: (syntax): "),
        ('a = "never closed', ":1: (syntax): "),
        ("a = [1,\n2", ":2: (syntax): "),
    ],
)
def test_toml_mistakes_have_their_line(text: str, place: str) -> None:
    """What is not TOML is told with file, line and the text that is wrong."""
    (problem,) = problems_of(text)
    assert problem.startswith("/etc/jobctl.toml" + place)
    assert " in: " in problem


def test_a_byte_order_mark_is_no_mistake() -> None:
    """Files saved by an editor that adds a mark are read all the same."""
    assert load_text("\ufeff" + SMALL, "/x").local_host == "mail.example.org"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder, or one that is not text: one line that says so."""
    with pytest.raises(ConfigError, match=r"No such file.*--config"):
        load(str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match="directory"):
        load(str(tmp_path))
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# fine\n# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.toml:2: .*UTF-8"):
        load(str(latin))


@pytest.mark.parametrize(
    ("text", "key", "why"),
    [
        ("channel = 3\n", "channel", "table"),
        ("[channel]\nl = 3\n", "channel.l", "table"),
        ("[dispatcher]\nservices = 1\n" + SMALL, "dispatcher.services", "did you mean service"),
        ("", "channel.l", "names this host"),
        ("[channel.l]\n", "channel.l", "official_host_name"),
        (
            SMALL + "[job_controller]\nmax_cache_messages = 1\n",
            "job_controller.max_cache_messages",
            "at least 10",
        ),
        (
            SMALL + "[job_controller.job_pool.MUCH_TOO_LONG]\n",
            "job_controller.job_pool.MUCH_TOO_LONG",
            "12 characters",
        ),
        (
            SMALL + "[job_controller.job_pool.P]\njob_limit = 0\n",
            "job_controller.job_pool.P.job_limit",
            "at least 1",
        ),
        (SMALL + "[mta]\nblock_limit = -1\n", "mta.block_limit", "at least 0"),
        (SMALL + "[mta]\nblok_limit = 1\n", "mta.blok_limit", "did you mean block_limit"),
        (SMALL + "[mta]\nblock_size = 512\n", "mta.block_size", "at least 1024"),
    ],
)
def test_sections_are_checked(text: str, key: str, why: str) -> None:
    """Whatever section a mistake is in, its key and a way out are named."""
    found = problems_of(text)
    assert any(f": {key}: " in problem and why in problem for problem in found), found


def test_mta_and_controller_values() -> None:
    """Blocks are 1024 octets; what does not act yet is noted with its line, never dropped silently."""
    settings = load_text(
        SMALL
        + '[mta]\nblock_limit = 20\nmax_received_lines = 30\nlog_auth = 1\n[job_controller]\nsecret = "x"\n'
        "stop_timeout = 'PT1M'\njob_limit = 3\nmax_life_time = 60\n[channel.tcp_local]\n"
        "[job_controller.channel_class.'tcp*']\nmaster_command = 'x'\n",
        "/x",
    )
    assert settings.mta.block_limit == 20 * 1024
    assert settings.mta.max_received_lines == 30
    assert settings.controller.stop_timeout == 60
    assert settings.pools["DEFAULT"].job_limit == 3
    assert settings.channels["tcp_local"].max_life_time == 60
    assert [(note.line, note.key) for note in settings.notes] == [
        (6, "mta.log_auth"),
        (8, "job_controller.secret"),
    ]
    assert all("does not act yet" in note.text for note in settings.notes)
