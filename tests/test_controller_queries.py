"""VRFY, EXPN and ETRN as the controller answers them, and what ETRN starts."""

import json
from pathlib import Path
from typing import Any

import pytest

from jobctl.errors import ChannelViolation
from jobctl.jobprotocol.frames import Ask, Etrn, Report, Route, VerdictFrame
from jobctl.mail.disposition import Verdict
from jobctl.mail.envelope import Source
from jobctl.net.dns_errors import DnsTrouble, NoSuchHost
from tests.controller_case import CONFIGURATION, START, World
from tests.test_accounts_log import Logged

FILES = CONFIGURATION.replace(
    "[rewrite]",
    '[channel.people]\nofficial_host_name = "people-daemon"\nsmtp = true\n'
    'master_command = "master"\nrecipients_file = "@LIST@"\n[rewrite]',
).replace(
    '".example" = "out"',
    '"mail.example.org" = "people"\n"old.example" = "$U%mail.example.org"\n'
    '"ours.example" = "gate"\n"." = "in"',
)
CLIENT = Source(
    "in", transport="TCP|192.0.2.1|25|198.51.100.1|4000", application="SMTP/c.example", modifiers="E"
)


def say(slave: Any, frame: Any) -> str:
    """The reply that a client gets."""
    slave.says(frame)
    answer = slave.sent[-1]
    assert isinstance(answer, VerdictFrame) and answer.id == frame.id
    return f"{answer.code} {answer.status} {answer.text}"


@pytest.mark.parametrize(
    ("command", "address", "reply"),
    [
        ("VRFY", "ann@mail.example.org", "250 2.1.5 <ann@mail.example.org>"),
        ("VRFY", "ann", "250 2.1.5 <ann@mail.example.org>"),
        ("VRFY", "Ann@OLD.example", "250 2.1.5 <Ann@OLD.example>"),
        ("EXPN", "ann@old.example", "250 2.1.5 <ann@mail.example.org>"),
        ("EXPN", "ann@mail.example.org", "250 2.1.5 <ann@mail.example.org>"),
        ("VRFY", "no@mail.example.org", "550 5.1.1 unknown or illegal alias: no@mail.example.org"),
        ("EXPN", "no@old.example", "550 5.1.1 unknown or illegal alias: no@old.example"),
        ("VRFY", "x@ours.example", "252 2.5.0 Possible local address <x@ours.example>"),
        ("VRFY", "x@far.example", "252 2.5.0 Possible remote address not checked"),
        ("EXPN", "x@far.example", "252 2.5.0 Possible remote address not checked"),
    ],
)
def test_addresses(tmp_path: Path, command: str, address: str, reply: str) -> None:
    """What is known is told; of other domains nothing; EXPN shows what the rewrite rules make of an address."""
    listed = tmp_path / "list"
    listed.write_text("ann@mail.example.org\n")
    slave = World(configuration=FILES.replace("@LIST@", str(listed))).slave()
    assert say(slave, Route(id="q1", recipient=address, command=command, source=CLIENT)) == reply


def test_addresses_that_cannot_be_checked_now(tmp_path: Path) -> None:
    """A file of recipients that is not there is temporary trouble."""
    slave = World(configuration=FILES.replace("@LIST@", str(tmp_path / "none"))).slave()
    assert say(slave, Route(id="q1", recipient="ann", command="VRFY")).startswith("451 4.3.0 ")


def test_no_such_command() -> None:
    """A program that asks about a command that is none has gone wrong."""
    world = World()
    with pytest.raises(ChannelViolation, match="no such command: 'DATA'"):
        world.slave().says(Route(id="q1", recipient="ann", command="DATA"))


# ETRN.


def etrn(slave: Any, node: str) -> str:
    return say(slave, Etrn(id="q1", node=node, source=CLIENT))


def keyed(keyword: str, channel: str = "in") -> str:
    return CONFIGURATION.replace(f"[channel.{channel}]", f"[channel.{channel}]\n{keyword} = true")


def with_table(entry: str) -> str:
    return f"{CONFIGURATION}[mapping]\nETRN_ACCESS = '''\n{entry}\n'''\n"


def unreachable(world: World, job: Any, ids: list[str]) -> None:
    """The destination of these cannot be talked to."""
    for id in ids:
        job.says(
            Report(id=id, verdict=Verdict.DEFERRED, status="4.4.1", reply="connection refused", scope="host")
        )
    job.says(Ask(n=100))
    world.turn()


@pytest.mark.parametrize("node", ["b.example", "B.Example", "@b.example", "#out", "#OUT"])
def test_a_backed_off_host_is_tried_at_once(node: str) -> None:
    """A host that was away asks by ETRN: its mail goes out now, and not at the end of the backoff."""
    world = World()
    ids = world.accept("bob@b.example")
    job = world.job()
    unreachable(world, job, ids)
    assert len(job.assigned) == 1
    assert etrn(world.slave(), node) == f"250 2.0.0 OK, queuing for node {node} started"
    world.turn()
    assert len(job.assigned) == 2


def test_once_a_minute() -> None:
    """Who asks again within a minute is told the same; it is started once more, and only then, when that is over."""
    world = World()
    ids = world.accept("bob@b.example")
    job = world.job()
    unreachable(world, job, ids)
    slave = world.slave()
    told, tries = set(), []
    for _ in range(30):
        told.add(etrn(slave, "b.example"))
        world.turn(2)
        if ids[0] in job.held:
            tries.append(world.clock.seconds())
            unreachable(world, job, ids)
        # The end of the backoff is not what is looked at.
        world.controller.scheduler.restore_host("out", "b.example", 5, world.clock.seconds() + 3000, START)
    assert told == {"250 2.0.0 OK, queuing for node b.example started"}
    assert len(tries) == 1
    world.turn(2)
    world.turn(2)
    assert ids[0] in job.held


def test_many_ask_at_a_time() -> None:
    """Those that ask within a second are looked for together, and each is tried."""
    world = World()
    ids = [*world.accept("x@a.example"), *world.accept("x@b.example"), *world.accept("x@c.example")]
    job = world.job()
    unreachable(world, job, ids)
    slave = world.slave()
    calls: list[int] = []
    call = world.controller.scheduler.calls.call
    world.controller.scheduler.calls.call = lambda targets, now: (
        calls.append(len(targets)),
        call(targets, now),
    )
    etrn(slave, "a.example")
    world.turn()
    for host in "bc":
        etrn(slave, f"{host}.example")
    world.turn()
    assert calls == [1]
    world.turn(1)
    world.turn()
    assert calls == [1, 2]
    assert len(job.assigned) == 6


def test_allowetrn_tells() -> None:
    """``allowetrn``: the channel's name, and how much waits there (RFC 1985 section 5.4)."""
    world = World(configuration=keyed("allowetrn"))
    world.accept("bob@b.example")
    world.accept("eve@b.example")
    slave = world.slave()
    assert etrn(slave, "b.example") == (
        "253 2.0.0 OK, 2 pending messages for node b.example started: channel out"
    )
    assert etrn(slave, "c.example") == "251 2.0.0 OK, no messages waiting for node c.example: channel out"


@pytest.mark.parametrize(
    ("configuration", "node", "reply"),
    [
        (CONFIGURATION, "#nothing", "458 4.4.0 Unable to queue messages for node #nothing"),
        (CONFIGURATION, "#in", "458 4.4.0 Unable to queue messages for node #in"),
        (CONFIGURATION, "host.test", "458 4.4.0 Unable to queue messages for node host.test"),
        (keyed("blocketrn", "out"), "b.example", "459 4.7.1 Node b.example not allowed"),
        (keyed("blocketrn", "out"), "#gate", "250 2.0.0 OK"),
        (
            with_table("TCP|*|*|198.51.100.*|*|SMTP/*|out|*  $N459$ 4.7.1$ not$ you"),
            "b.example",
            "459 4.7.1 not you",
        ),
        (
            with_table("*|out|b.example  $N"),
            "b.example",
            "459 4.7.1 Node b.example not allowed",
        ),
        (with_table("*|gate|*  $N"), "b.example", "250 2.0.0 OK"),
    ],
)
def test_refused(configuration: str, node: str, reply: str) -> None:
    """What leads nowhere, is not to be run by ETRN, or is forbidden by the table, in the codes of RFC 1985."""
    world = World(configuration=configuration)
    assert etrn(world.slave(), node).startswith(reply)


def test_stopped_channel() -> None:
    """A channel that an operator stopped cannot be started by ETRN, and the client is told."""
    world = World()
    world.controller.scheduler.stop("out")
    assert etrn(world.slave(), "b.example").startswith("458 ")


def test_log(tmp_path: Path) -> None:
    """Each ETRN is an I record with the client, the argument and the reply, where bit 4 asks for it."""
    world = Logged(tmp_path, "log_format = 6\nlog_connection = 4")
    etrn(world.slave(), "b.example")
    (record,) = [json.loads(line) for line in world.lines()]
    assert record["ac"] == "IE"
    assert record["di"] == "b.example: 250 2.0.0 OK, queuing for node b.example started"


class Names:
    """A name service that knows what each host stands for; ``None``: it has exchangers."""

    def __init__(self, **hosts: Any) -> None:
        self._hosts = hosts

    async def mail_addresses(self, host: str) -> list[str] | None:
        found = self._hosts[host.removesuffix(".example")]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.mark.parametrize(
    ("sender", "reply"),
    [
        ("x@mx.example", "250  "),
        ("x@mixed.example", "250  "),
        ("", "250  "),
        ("x@none.example", "550 5.1.8 Sender refused: no such host"),
        ("x@null.example", "550 5.7.27 Sender refused: null MX"),
        ("x@wild.example", "550 5.1.8 Sender refused: wild.example has neither mail exchanger nor address"),
        ("x@slow.example", "451 4.4.3 The domain of the sender cannot be looked up now; try again later."),
    ],
)
def test_senders(sender: str, reply: str) -> None:
    """For programs without a resolver the controller looks a sender's domain up (``mailfromdnsverify``)."""
    text = CONFIGURATION.replace(
        "[channel.l]", '[mta]\nblocked_mail_from_ips = ["192.0.2.0/24"]\n[channel.l]'
    )
    world = World(configuration=text)
    world.controller.resolvers._by_servers[()] = Names(
        mx=None,
        mixed=["192.0.2.1", "198.51.100.1"],
        wild=["192.0.2.1", "192.0.2.2"],
        none=NoSuchHost("5.1.2", "no such host"),
        null=NoSuchHost("5.1.10", "null MX"),
        slow=DnsTrouble("no answer"),
    )
    assert say(world.slave(), Route(id="q1", recipient="", sender=sender, command="MAIL")) == reply


def test_a_bug_keeps_no_sender_out() -> None:
    """What goes wrong with us is temporary for the client, who gets a reply in any case."""
    world = World()
    world.controller.resolvers._by_servers[()] = Names()
    assert (
        say(world.slave(), Route(id="q1", recipient="", sender="x@y.example", command="MAIL"))[:9]
        == "451 4.4.3"
    )
