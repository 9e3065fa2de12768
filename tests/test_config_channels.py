"""Promises of the channel keywords."""

import ast
from pathlib import Path

import pytest

from jobctl.config.keys import Kind, Status
from jobctl.config.keywords import KEYWORDS
from jobctl.config.loader import load_text
from jobctl.config.settings import ChannelSettings, Settings
from jobctl.config.tcp_options import OPTIONS
from jobctl.errors import ConfigError

HEAD = '[channel.l]\nofficial_host_name = "mail.example.org"\n'


def load(text: str) -> Settings:
    return load_text(HEAD + text, "/etc/jobctl.toml")


def channel(text: str, name: str = "tcp_local", before: str = "") -> ChannelSettings:
    return load(f"{before}[channel.{name}]\n{text}\n").channels[name]


def problem(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text)
    (found,) = caught.value.problems
    return found


@pytest.mark.parametrize(
    ("name", "text", "line_ends"),
    [
        ("tcp_local", "", "crorlf"),
        ("tcp_local", "smtp = true", "crlf"),
        ("tcp_local", "smtp_crlf = true", "crlf"),
        ("tcp_local", "SMTP_CrorLF = true", "crorlf"),
        ("tcp_local", "smtp_lf = true", "lf"),
        ("tcp_local", "smtp_cr = true", "cr"),
        ("tcp_local", "nosmtp = true", "nosmtp"),
        ("test_smtp_x", "", "crlf"),
        ("x_line", "lmtp = true", "crlf"),
        ("x_line", "", "nosmtp"),
    ],
)
def test_smtp_family(name: str, text: str, line_ends: str) -> None:
    """smtp and its variants say which line ends are taken; tcp_* channels without any take all of them."""
    assert channel(text, name).smtp == line_ends


@pytest.mark.parametrize(
    ("text", "gateway", "copies"),
    [
        ("", None, "single_sys"),
        ('daemon = "router"', "gw.example.net", "multiple"),
        ('daemon = "other.example.net"', "other.example.net", "multiple"),
        ('daemon = "[192.0.2.1]"', "[192.0.2.1]", "multiple"),
        ('daemon = "[IPv6:2001:db8::1]"', "[IPv6:2001:db8::1]", "multiple"),
        ('daemon = "router"\nsingle = true', "gw.example.net", "single"),
        ('daemon = "router"\nsingle_sys = true', "gw.example.net", "single_sys"),
        ("nosmtp = true", None, "multiple"),
        ('transport = "command:cat"\nmultiple = true', None, "multiple"),
    ],
)
def test_daemon_and_copies(text: str, gateway: str | None, copies: str) -> None:
    """daemon names the gateway, or any other word means the official host; copies follow."""
    found = channel(f'official_host_name = "gw.example.net"\n{text}')
    assert (found.gateway, found.copies) == (gateway, copies)


def test_a_gateway_without_a_dot_is_noted() -> None:
    """daemon router on a channel whose official host is only a tag works, but is pointed out."""
    settings = load('[channel.tcp_gw]\nofficial_host_name = "gw"\ndaemon = "router"\n')
    assert settings.channels["tcp_gw"].gateway == "gw"
    assert "no dot" in settings.notes[0].text


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[channel.tcp_x]\nmx = true\nnomx = true\n", "contradicts mx on line 4"),
        ("[channel.tcp_x]\nmx = true\nMX = true\n", "already given on line 4"),
        ("[channel.tcp_x]\nmx = true\nnonrandommx = true\n", "already given on line 4"),
        ("[channel.tcp_x]\nmx = 1\n", "write mx = true"),
        ("[channel.tcp_x]\nmaytls = true\nnotlsserver = true\n", "contradicts maytls"),
        ('[channel.tcp_x]\ntls_policy = "dane"\n', "without what it promises"),
        ('[channel.tcp_x]\ntls_policy = "verify"\nmaytlsclient = true\n', "contradicts tls_policy"),
        ('[channel.tcp_x]\ntls_ca_file = "nowhere"\n', "there is no file"),
        ('[channel.tcp_x]\nauth_username = "ann"\n', "need each other"),
        ('[channel.tcp_x]\ntls_policy = "sometimes"\n', "not one of none, may"),
        ('[channel.tcp_x]\nsourcefilter = "file:/x"\n', "unfiltered"),
        ("[channel.tcp_x]\nmultiple = true\n", "needs daemon"),
        ('[channel.tcp_x]\ndaemon = "[1.2.3]"\n', "address literal"),
        ('[channel.tcp_x]\ndaemon = "a b"\n', "host name"),
        ('[channel.tcp_x]\npool = "NONE"\n', "no pool 'NONE'; known: DEFAULT, SMTP_POOL"),
        ("[channel.tcp_x]\nport = 0\n", "at least 1"),
        ("[channel.tcp_x]\nport = true\n", "not an integer"),
        ("[channel.tcp_x]\nport = [25]\n", "not an integer"),
        ("[channel.tcp_x]\nblocklimit = 99999999999999999999\n", "out of range"),
        ('[channel.tcp_x]\nbackoff = "PT5M PT"\n', "PT5M"),
        ("[channel.tcp_x]\nbackoff = [5]\n", 'write "PT5M" for minutes'),
        ("[channel.tcp_x]\nbackoff = []\n", "PT5M"),
        ('[channel.tcp_x]\nbackoff = ["PT0S"]\n', "greater than nothing"),
        ("[channel.tcp_x]\nbackoff = 'PT1M PT1M PT1M PT1M PT1M PT1M PT1M PT1M PT1M'\n", "at most 8"),
        ("[channel.tcp_x]\nnotices = [1, 2, 2]\n", "must rise"),
        ("[channel.tcp_x]\nnotices = [0, 2]\n", "must rise"),
        ("[channel.tcp_x]\nnotices = [1, 2, 3, 4, 5, 6]\n", "at most 5 numbers"),
        ("[channel.tcp_x]\nnotices = []\n", "is empty"),
        ("[channel.tcp_x]\nnotices = [true]\n", "not a number"),
        ('[channel.tcp_x]\nnameservers = "127.0.0.1 ns.example"\n', "'ns.example' is not an IP address"),
        ('[channel.tcp_x]\ninterfaceaddress = "here"\n', "not an IP address"),
        ('[channel.tcp_x]\ntransport = "udp"\n', "not one of tcp"),
        ('[channel.tcp_x]\ntransport = "command: "\n', "not one of tcp"),
        ('[channel.tcp_x]\ntransport = "channel:tcp_y"\n', "not configured"),
        ('[channel.tcp_x]\ntransport = "channel:l"\n', "no slave program"),
        ('[channel.tcp_x]\ntransport = "channel:tcp_x"\n', "joined to itself"),
        ('[channel.tcp_x]\nofficial_host_name = "mail.example.org"\n', "already leads to channel l"),
        ('[channel.tcp_x]\nofficial_host_name = "two words"\n', "host name"),
        (f'[channel.tcp_x]\nofficial_host_name = "{"a." * 64}org"\n', "128 characters"),
        ('[channel.tcp_x]\nadditional_host_names = ["b_d name"]\n', "not a host name"),
        ("[channel.tcp_x]\nadditional_host_names = [1]\n", "list of texts"),
        ("[channel.Tcp_x]\n", "not a channel name"),
        ("[channel.tcp_x]\noptions = 1\n", "is a table"),
        ("[channel.tcp_x]\nafter = -1\n", "at least 0"),
        ("[channel.tcp_x]\nmaster_command = 'a \"b'\n", "cannot be split"),
        ("[channel.tcp_x]\nmaster_command = 'IMTA_BIN:'\n", "names no program"),
        ("[channel.tcp_x]\nmaster_command = 7\n", "not a command"),
        ("[channel.tcp_x]\nuser = ''\n", "text in quotes"),
        ('[channel.tcp_x]\nuser = "a\\nb"\n', "control characters"),
        ('[defaults]\nofficial_host_name = "x.example"\n', "belongs to one channel"),
        ("[defaults]\nnotices = [2, 1]\n[channel.tcp_x]\n[channel.tcp_y]\n", "must rise"),
        (
            "[job_controller.channel_class.'tcp_*']\nmaster_command='x'\nanon_host = 1\n[channel.tcp_x]\n",
            "tcp_x has no daemon",
        ),
    ],
)
def test_mistakes_are_told(text: str, word: str) -> None:
    """Unknown, contradictory, unsafe and out-of-range keywords are refused, each once and with what to do."""
    assert word in problem(text)


def test_false_only_cancels_a_default() -> None:
    """A keyword that [defaults] gives can be switched off for a channel."""
    before = "[defaults]\nlogging = true\nmaster_debug = true\n"
    assert channel("", before=before).logging
    assert not channel("logging = false", before=before).logging
    assert channel("logging = false", before=before).master_debug
    assert not channel("nologging = true", before=before).logging


def test_defaults_are_for_every_channel_and_the_channel_goes_first() -> None:
    """[defaults] says what all channels have; what a channel says itself, or contradicts, goes first."""
    before = (
        "[defaults]\nmaxjobs = 7\nnomx = true\nurgentbackoff = 'PT1M'\nnotices = [1, 2]\n"
        "options = { BANNER_HOST = 'a.example', MAX_CLIENT_THREADS = 3 }\n"
    )
    found = channel(
        "randommx = true\nbackoff = 'pt2m'\nurgentnotices = 'PT6H'\noptions.max_client_threads = '16%1F'",
        before=before,
    )
    assert (found.maxjobs, found.mx) == (7, "randommx")
    assert found.backoff == dict.fromkeys(("urgent", "normal", "nonurgent"), (120.0,))
    assert found.notices["urgent"] == (21600.0,)
    assert found.notices["normal"] == (86400.0, 172800.0)
    assert (found.options.banner_host, found.options.max_client_threads) == ("a.example", 31)


@pytest.mark.parametrize("written", ['"1 2 4 7"', "[1, 2, 4, 7]", '["P1D", 2, "PT96H", "7"]'])
def test_notices_forms(written: str) -> None:
    """Ages are days as numbers, durations, a list or the original's quoted string."""
    assert channel(f"notices = {written}").notices["normal"] == tuple(86400.0 * d for d in (1, 2, 4, 7))


def test_notices_in_hours_and_more_durations() -> None:
    """With return_units = 1 bare numbers are hours; durations may be more than the original's five."""
    found = channel("notices = 6", before="[mta]\nreturn_units = 1\n")
    assert found.notices["normal"] == (6 * 3600.0,)
    many = " ".join(f"PT{hour}H" for hour in range(1, 9))
    assert len(channel(f'notices = "{many}"').notices["normal"]) == 8


def test_notices_of_l_are_everybodys() -> None:
    """Channels that say nothing of notices have those of channel l."""
    text = HEAD + "notices = [1, 2]\n[channel.tcp_a]\n[channel.tcp_b]\nurgentnotices = [9]\n"
    settings = load_text(text, "/x")
    assert settings.channels["tcp_a"].notices["normal"] == (86400.0, 172800.0)
    assert settings.channels["tcp_b"].notices["normal"][-1] == 12 * 86400.0


def test_after_and_names() -> None:
    """after takes seconds, +seconds, a duration or a time; names and further host names are kept."""
    assert set(channel("after = 5").after.values()) == {5}
    assert channel('after = "+5"').after["third_class"] == 5
    assert channel('after = "pt1m"\nurgentafter = 0').after["urgent"] == 0
    times = channel("after = 2023-11-14T22:13:20Z\nsecondclassafter = 2023-11-14T22:13:20").after
    assert times["normal"] == times["second_class"] == 1_700_000_000
    assert "is not a number" in problem("[channel.x]\nafter = [1]")
    found = channel("local_host_alias = 'out.example.org'\nadditional_host_names = 'a.example b.example'")
    assert (found.local_host, found.additional_host_names) == ("out.example.org", ("a.example", "b.example"))


def test_directions() -> None:
    """master and slave take the other program away."""
    assert channel("master = true").slave_command == ()
    assert channel("slave = true").master_command == ()
    assert channel("bidirectional = true").master_command == ("tcp_smtp_client",)


def test_classes_match_by_pattern() -> None:
    """The most specific class serves a channel; commands are words for no shell; IMTA_BIN: is dropped."""
    classes = """\
[job_controller.channel_class."*"]
master_command = "any"
[job_controller.channel_class."tcp_*"]
master_command = "IMTA_BIN:tcp_smtp_client -v 'two words; $(x)'"
slave_command = "NULL"
max_life_time = "PT2H"
max_life_conns = 5
[job_controller.channel_class."tcp_s?ow"]
master_command = ["slow", "a b"]
urgent_delivery = "08:00-20:00"
[job_controller.channel_class.tcp_exact]
[channel.tcp_x]
[channel.tcp_slow]
[channel.tcp_exact]
[channel.other]
"""
    settings = load(classes)
    served = {name: found.master_command for name, found in settings.channels.items()}
    assert served["tcp_x"] == ("tcp_smtp_client", "-v", "two words; $(x)")
    assert served["tcp_slow"] == ("slow", "a b")
    assert served["tcp_exact"] == ()
    assert served["other"] == ("any",)
    assert settings.channels["tcp_x"].slave_command == ()
    assert (settings.channels["tcp_x"].max_life_time, settings.channels["tcp_x"].max_life_askwork) == (
        7200,
        5,
    )
    assert settings.channels["tcp_slow"].delivery == {"urgent": ((480, 1200),)}
    assert settings.channels["tcp_x"].delivery == {} and settings.notes == ()


def test_transports() -> None:
    """A program on a pipe can be joined to TCP, a command, or another channel's slave."""
    text = "[channel.test_smtp_in]\nslave = true\n[channel.test_smtp_a]\ntransport = '{}'\n"
    for transport in ("tcp", "command:ssh relay.example.net smtp-stdio", "channel:test_smtp_in"):
        assert load(text.format(transport)).channels["test_smtp_a"].transport == transport


def test_maildir_is_seen_from_the_file() -> None:
    """A Maildir's path is relative to the configuration file."""
    assert channel("maildir = 'var/M'", "maildir").maildir == "/etc/var/M"
    assert channel("maildir = '/srv/M'", "maildir").maildir == "/srv/M"


def test_an_option_file_must_be_there() -> None:
    """An option file is as seen from the configuration, and one that is missing is a mistake at once."""
    assert channel("option_file = '../dev/null'").keywords["option_file"] == "/dev/null"
    assert "there is no file '/etc/no_such_option'" in problem(
        "[channel.tcp_x]\noption_file = 'no_such_option'\n"
    )


def _sample(kind: Kind, key: object) -> str:
    samples = {
        Kind.FLAG: "true",
        Kind.SWITCH: "true",
        Kind.INTEGER: "3",
        Kind.NUMBER: "3",
        Kind.TEXT: "'x'",
        Kind.WORDS: "['h.example']",
        Kind.HOST: "'h.example'",
        Kind.MAILBOX: "'a@h.example'",
        Kind.DAEMON: "'h.example'",
        Kind.ADDRESS: "'192.0.2.1'",
        Kind.ADDRESSES: "'192.0.2.1:53 [::1]:53 ::1'",
        Kind.CHOICE: "'may'",
        Kind.SECONDS: "3",
        Kind.MOMENT: "3",
        Kind.HOURS: "'08:00-20:00'",
        Kind.RATE: "'100/PT1M'",
        Kind.DURATIONS: "'PT3M'",
        Kind.AGES: "3",
        Kind.COMMAND: "'x'",
        Kind.TABLE: "{}",
    }
    return samples[kind]


@pytest.mark.parametrize("key", list(KEYWORDS), ids=lambda key: key.name)
def test_no_keyword_is_silently_ignored(key: object) -> None:
    """Each keyword acts, or is noted with the reason why it does not yet, or is refused with one."""
    from jobctl.config.keys import Key

    assert isinstance(key, Key)
    special = {
        "pool": "'DEFAULT'",
        "transport": "'tcp'",
        "multiple": "true\ndaemon = 'g.example'",
        "option_file": "'/dev/null'",
        "jitter": "0.5",
        "limit_memory": "64",
        "limit_open_files": "64",
        "notificationchannel": "'tcp_x'",
        "tls_ca_file": "'/dev/null'",
        "recipients_file": "'/dev/null'",
        "auth_username": "'ann'\nauth_password_file = '/dev/null'",
        "auth_password_file": "'/dev/null'\nauth_username = 'ann'",
        "auth_mechanism": "'plain'",
        "tlsswitchchannel": "'tcp_x'",
        "saslswitchchannel": "'tcp_x'",
        "authrewrite": "2",
    }
    value = special.get(key.name)
    text = f"[channel.tcp_x]\n{key.name} = {value or _sample(key.kind, key)}\n"
    for spelling in (key.name, key.name.upper(), *key.aliases):
        written = text.replace(key.name, spelling, 1)
        if key.status is Status.REFUSED:
            assert key.reason in problem(written)
            continue
        notes = load(written).notes
        if key.status is Status.INERT or key.inert:
            assert key.reason in notes[0].text
            assert notes[0].line == 4
        else:
            assert notes == ()


def test_fields_exist() -> None:
    """Every field that a keyword claims to set is a field of the settings."""
    assert {key.field for key in KEYWORDS if key.field} <= set(ChannelSettings.__struct_fields__)
    assert all(key.reason for key in KEYWORDS if key.status is not Status.HONOURED)


def test_keywords_are_kept_as_given() -> None:
    """Keywords without a field of their own travel by name to whoever knows them."""
    found = channel("disableetrn = true\nvrfyhide = true\nsubdirs = 20\ndaemon = '[192.0.2.1]'")
    assert found.keywords == {"disableetrn": True, "vrfyhide": True, "subdirs": 20}


def _words_used() -> set[str]:
    """Every attribute and text in the modules that act on settings."""
    words: set[str] = set()
    root = Path(__file__).resolve().parent.parent
    for path in [*root.glob("jobctl/**/*.py"), *root.glob("channels/**/*.py")]:
        if root / "jobctl/config" in path.parents and path.name not in (
            "settings.py",
            "tcp_settings.py",
            "towards.py",
        ):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                words.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
    return words


def test_honoured_means_that_somebody_reads_it() -> None:
    """What the manual calls honoured is read by a module that acts on it, not only by the loader."""
    claimed = {
        key.field
        for key in (*KEYWORDS, *OPTIONS)
        if key.field and key.status is Status.HONOURED and not key.inert and key.name[:2] != "no"
    }
    assert claimed - _words_used() == set()


@pytest.mark.parametrize("text", ["100", "0/PT1M", "x/PT1M", "100/", "100/PT0S", "-5/PT1M", "100/x"])
def test_rates_that_are_none(text: str) -> None:
    """A rate is a count and a duration greater than nothing; what is not is refused with its place."""
    assert "rate_per_host" in problem(f'[channel.tcp_local]\nrate_per_host = "{text}"')
    assert channel('rate_per_host = "100/PT1M"').rate_per_host == (100, 60.0)


def test_shares_have_weights() -> None:
    """A share's weight is for the domain as mail has it, in small letters; nonsense is refused."""
    given = load('[job_controller]\nfair_share = "user"\n[job_controller.share."Example.COM"]\nweight = 3\n')
    assert (given.controller.fair_share, given.controller.share) == ("user", {"example.com": 3})
    assert load("").controller.fair_share == "sender_domain"
    assert "weight" in problem('[job_controller.share."a.example"]\nweight = 0')
    assert "fair_share" in problem('[job_controller]\nfair_share = "colour"')
