"""Connections and descriptors."""

import resource

import pytest

from channels.tcp.capacity import room_for

NONE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "room", "raised"),
    [
        ((20_000, 20_000), 1000, None),
        ((NONE, NONE), 1000, None),
        ((1024, 524_288), 1000, (1064, 524_288)),
        ((1024, NONE), 1000, (1064, NONE)),
        ((1024, 1024), 960, (1024, 1024)),
        ((64, 64), 48, (64, 64)),
        ((1, 1), 1, (1, 1)),
    ],
)
def test_connections_that_there_are_descriptors_for(
    limits: tuple[int, int], room: int, raised: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is raised where it may be; where it may not, fewer clients are served, and the others are told."""
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda what: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda what, to: set_to.append(to))
    assert room_for(1000) == room
    assert set_to == ([] if raised is None else [raised])
