"""IP_ACCESS: to which addresses of a next hop connections are made, and what the log has of it."""

import pytest

from jobctl.config.loader import load_text
from jobctl.net.ip_access import HostForbidden, IpAccess
from jobctl.net.resolver import NextHop
from tests.tcp_support import channel

ONE = [NextHop("mx1.example", "192.0.2.1", 25, 10), NextHop("mx1.example", "192.0.2.2", 25, 10)]
TWO = [NextHop("mx2.example", "2001:db8::2", 25, 20)]


def asked(table: str) -> tuple[list[str], str, list[str]]:
    """Addresses in turn, how it ends, and the log."""
    said: list[str] = []
    access = IpAccess(channel(ip_access={"IP_ACCESS": table}), said.append)
    found, end = [], ""
    try:
        for hop in access.in_turn(ONE + TWO):
            assert (hop.port, hop.preference) == (25, 20 if hop.name == "mx2.example" else 10)
            found.append(hop.address)
    except HostForbidden as why:
        end = f"{why.status} {why.text}"
    return found, end, said


ALL = ["192.0.2.1", "192.0.2.2", "2001:db8::2"]


@pytest.mark.parametrize(
    ("table", "found", "end", "log"),
    [
        ("* $Y", ALL, "", []),
        ("other|*  $I", ALL, "", []),
        (
            "tcp_local|1|2|192.0.2.1|mx1.example  $I",
            ALL[1:],
            "",
            ["mx1.example [192.0.2.1]: IP_ACCESS has it skipped"],
        ),
        (
            "tcp_local|1|1|*|mx2.example  $I",
            ALL[:2],
            "",
            ["mx2.example [2001:db8::2]: IP_ACCESS has it skipped"],
        ),
        (
            "*|2|2|*  $A192.0.2.9",
            ["192.0.2.1", "192.0.2.9", "2001:db8::2"],
            "",
            ["mx1.example [192.0.2.2]: IP_ACCESS names 192.0.2.9 instead"],
        ),
        (
            "*|2|2|*  $Anowhere",
            ["192.0.2.1", "2001:db8::2"],
            "",
            ["mx1.example [192.0.2.2]: IP_ACCESS names 'nowhere' instead, which is no address: skipped"],
        ),
        (
            "*|192.0.2.2|*  $Nour$ enemies",
            ["192.0.2.1"],
            "5.1.2 Invalid host: mx1.example",
            ["mx1.example [192.0.2.2]: IP_ACCESS forbids the host: our enemies"],
        ),
    ],
)
def test_what_the_table_says(table: str, found: list[str], end: str, log: list[str]) -> None:
    """Addresses are skipped, replaced, or end it for all of the mail, each by its number, address and name."""
    assert asked(table) == (found, end, log)


def test_without_the_table_nothing_is_asked() -> None:
    """The very list that was given."""
    access = IpAccess(channel(), lambda line: None)
    assert access.of(ONE) == (ONE, None) and access.of(ONE)[0] is ONE


@pytest.mark.parametrize(("attempt", "found"), [(1, 2), (2, 0), (-1, 1)])
def test_which_attempt_it_is(attempt: int, found: int) -> None:
    """With ``use_ip_access`` the probe ends with it; without, patterns of old still fit."""
    table = "*|mx1.example|2  $I\n*|192.0.2.1|mx1.example|-1  $I"
    access = IpAccess(channel(ip_access={"IP_ACCESS": table}, use_ip_access=1), lambda line: None)
    assert len(access.of(ONE, attempt)[0]) == found
    plain = IpAccess(channel(ip_access={"IP_ACCESS": table}), lambda line: None)
    assert len(plain.of(ONE, attempt)[0]) == 2


def test_the_attempt_reaches_the_programs() -> None:
    """Channels that send by SMTP have the setting where there is a table, others do not."""
    text = '[channel.l]\nofficial_host_name = "m.example"\n[channel.tcp_x]\n[mta]\nuse_ip_access = 1\n'
    assert load_text(text, "/x").channels["tcp_x"].use_ip_access == 0
    channels = load_text(text + "[mapping]\nIP_ACCESS = '''\n*  $Y\n'''\n", "/x").channels
    assert (channels["tcp_x"].use_ip_access, channels["l"].use_ip_access) == (1, 0)
