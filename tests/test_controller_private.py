"""What XADR, XSTA, XGEN and XCIR are answered."""

import pytest

from jobctl.jobprotocol.frames import Route, VerdictFrame
from tests.controller_case import CONFIGURATION, World


def asked(world: World, command: str, address: str = "") -> tuple[int, str]:
    slave = world.slave()
    slave.says(Route(id="r", recipient=address, command=command))
    (answer,) = [frame for frame in slave.sent if isinstance(frame, VerdictFrame)]
    return answer.code, f"{answer.status} {answer.text}"


@pytest.mark.parametrize(
    ("address", "code", "words"),
    [
        ("x@b.example", 250, ("x@b.example", "channel out", "host b.example", "next hop b.example")),
        ("x@gate.example", 250, ("channel gate", "host -", "next hop gate.example")),
        ("x@nowhere.test", 550, ()),
    ],
)
def test_how_an_address_is_routed(address: str, code: int, words: tuple[str, ...]) -> None:
    """The address as it would go on, its channel and its next hop."""
    world = World()
    found, text = asked(world, "XADR", address)
    assert found == code and all(word in text for word in words)
    world.close()


def test_what_channels_have_done() -> None:
    """A line for each channel, and not more lines than a reply has."""
    world = World()
    world.accept("x@b.example")
    code, text = asked(world, "XSTA")
    assert code == 250 and "2.3.0 4 channels" in text.split("\n")[0]
    assert "out received 1 delivered 0 failed 0 stored 1" in text.split("\n")
    world.close()
    many = CONFIGURATION + "".join(f"[channel.x{n}]\n" for n in range(200))
    world = World(configuration=many)
    lines = asked(world, "XSTA")[1].split("\n")
    assert len(lines) == 100 and lines[-1] == "and 106 more"
    world.close()


def test_how_the_server_is_set_up() -> None:
    """Plainly: what is not there is said not to be there."""
    world = World()
    assert "4 channels, 2 rewrite rules" in asked(world, "XGEN")[1]
    assert asked(world, "XCIR") == (250, "2.3.0 There are no circuit checks here.")
    world.close()
