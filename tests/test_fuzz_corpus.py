"""Every parser with the octets that fuzzing has found interesting, and with changes of them."""

import random
from pathlib import Path

import pytest

from fuzz.seeds import SEEDS
from fuzz.targets import TARGETS

CORPUS = Path(__file__).parent.parent / "fuzz/corpus"


def changed(octets: bytes, chance: random.Random) -> bytes:
    """A few octets taken out, put in, or put elsewhere."""
    made = bytearray(octets)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(made) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            made[at:at] = chance.choice([b"\r\n", b"\r", b"\n", b".", b"\0", b"\xff", b" ", b"$", b'"', b"<"])
        elif kind == 1:
            del made[at : at + chance.randrange(1, 8)]
        elif kind == 2:
            made[at : at + 1] = bytes([chance.randrange(256)])
        else:
            made[at:at] = made[max(0, at - 20) : at]
    return bytes(made)


@pytest.mark.parametrize("name", TARGETS)
def test_promises_hold_for_any_octets(name: str) -> None:
    """No parser says anything but what it promises, whatever it is given."""
    folder = CORPUS / name
    known = [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []
    octets = [*SEEDS[name], *known]
    chance = random.Random(name)
    for each in octets:
        TARGETS[name](each)
    for _ in range(150):
        TARGETS[name](changed(chance.choice(octets), chance))
