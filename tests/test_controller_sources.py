"""By which channel mail comes in: what a program says counts as far as its clients can come there."""

import pytest

from jobctl.config.settings import Settings
from jobctl.controller.services import _switches_otherwise
from jobctl.jobprotocol.frames import Accepted, Locate, Located, Route, Submit, VerdictFrame
from jobctl.mail.envelope import Source
from tests.controller_case import ANN, CONFIGURATION, CONTENT, World

SWITCHING = CONFIGURATION.replace(
    "[channel.out]",
    """switchchannel = true
saslswitchchannel = "known"
[channel.inside]
official_host_name = "inside-daemon"
smtp = true
slave_command = "slave"
[channel.known]
noswitchchannel = true
slave_command = "slave"
sourceblocklimit = 1
[channel.closed]
official_host_name = "closed-daemon"
noswitchchannel = true
slave_command = "slave"
[channel.out]""",
).replace(
    "[rewrite]",
    """[rewrite]
"[10.]" = "$R$U%[10.$L]@inside-daemon"
"[11.]" = "$R$U%[11.$L]@closed-daemon"
"for.inside" = ["out$Minside", "out$Mknown$?Not$ for$ you"]""",
)


@pytest.fixture
def world() -> World:
    return World(configuration=SWITCHING)


def slave(world: World):
    spec = world.controller.specs.by_hand(world.settings.channels["in"], "slave", None)
    return world.supervisor.spawn(spec).hello(0)


def test_programs_are_told_of_what_can_be_reached(world):
    """The channels that a client can choose or prove its way to, and no other."""
    job = slave(world)
    assert [one.name for one in job.spec.others] == ["inside", "known"]
    assert world.controller.specs.master(world.settings.channels["out"], None, None).others == ()


@pytest.mark.parametrize(
    ("host", "channel"),
    [
        ("[10.1.1.1]", "inside"),
        ("[11.1.1.1]", "in"),
        ("inside-daemon", "inside"),
        ("[192.0.2.1]", "in"),
        ("", "in"),
    ],
)
def test_where_a_client_belongs(world, host, channel):
    """The controller answers with a channel that the program knows, its own where no other may be chosen."""
    job = slave(world)
    job.says(Locate(id="c1", host=host))
    assert job.sent == [Located(id="c1", channel=channel)]


class Names:
    """A resolver: names by address, and addresses by name."""

    def __init__(self, **addresses: str) -> None:
        self._addresses = {name.replace("_", "."): address for name, address in addresses.items()}
        self.asked: list[str] = []

    async def reverse(self, address: str) -> str | None:
        self.asked.append(address)
        return {"10.1.1.1": "one.example", "192.0.2.2": "two.example"}.get(address)

    async def verified(self, name: str, address: str) -> bool:
        return self._addresses.get(name) == address


@pytest.mark.parametrize(
    ("keyword", "host", "answer"),
    [
        ("identnone", "[10.1.1.1]", ("inside", "one.example")),
        ("identnone", "[192.0.2.9]", ("in", "")),
        ("identnone", "[IPv6:2001:db8::9]", ("in", "")),
        ("identnone", "two.example", ("in", "")),
        ("forwardchecktag", "[10.1.1.1]", ("inside", "one.example")),
        ("forwardchecktag", "[192.0.2.2]", ("in", "two.example*")),
        ("forwardcheckdelete", "[192.0.2.2]", ("in", "")),
    ],
)
def test_what_a_client_is_called(keyword, host, answer):
    """For programs without a resolver the controller looks clients' names up, as their channel wants them checked."""
    world = World(configuration=SWITCHING.replace("[channel.inside]", f"{keyword} = true\n[channel.inside]"))
    names = Names(one_example="10.1.1.1", two_example="192.0.2.66")
    world.controller.resolvers._by_servers[()] = names
    job = slave(world)
    for id in ("c1", "c2"):
        job.says(Locate(id=id, host=host, named=True))
        channel, name = answer
        assert job.sent[-1] == Located(id=id, channel=channel, name=name)
    # Known for a while; not asked about what is no address.
    assert names.asked == ([host[1:-1].removeprefix("IPv6:")] if host.startswith("[") else [])


@pytest.mark.parametrize(
    ("said", "counts"), [("inside", "inside"), ("known", "known"), ("closed", "in"), ("x", "in")]
)
def test_a_program_cannot_say_what_it_likes(world, said, counts):
    """Mail comes in by a channel that clients of the job can come to, whatever a program claims."""
    job = slave(world)
    job.says(Submit(id="s1", envelope=ANN, source=Source(said)), CONTENT)
    assert isinstance(world.answers(job)[0], Accepted)
    (stored,) = world.queued()
    assert stored.source.channel == counts


def test_rules_and_limits_are_those_of_the_channel(world):
    """Rules that ask for the source channel, and its size limit, see the one that the client has come to."""
    job = slave(world)
    said = {"[10.1.1.1]": "inside", "x": "in"}
    codes = []
    for channel in said.values():
        job.says(Route(id="r", recipient="a@for.inside", source=Source(channel, user="ann")))
        answer = job.sent[-1]
        assert isinstance(answer, VerdictFrame)
        codes.append(answer.code)
    assert codes == [250, 550]
    large = CONTENT + b"x" * 8000 + b"\r\n"
    for id, channel in (("1", "inside"), ("2", "known")):
        job.says(Submit(id=id, envelope=ANN, source=Source(channel)), large)
    assert [type(one).__name__ for one in world.answers(job)[-2:]] == ["Accepted", "Refused"]


def changed(old: str, new: str) -> bool:
    before = World(configuration=SWITCHING).settings
    now: Settings = World(configuration=SWITCHING.replace(old, new)).settings
    return _switches_otherwise(before, now, "in")


def test_what_needs_new_server_programs():
    """A channel in reach that is another, or is reached otherwise; not one that clients never see."""
    assert changed("sourceblocklimit = 1", "sourceblocklimit = 2")
    assert changed('"[11.]"', '"[12.]"')
    assert changed('saslswitchchannel = "known"', "")
    assert not changed(
        'official_host_name = "closed-daemon"', 'official_host_name = "closed-daemon"\nmaxjobs = 3'
    )
    assert not changed("[channel.known]", "[channel.known]\nmaxjobs = 3")
