"""Listening sockets as the configuration changes under them."""

import socket
from collections.abc import Iterator

import pytest

from jobctl.config.settings import ServiceSettings
from jobctl.net.sockets import CannotListen, ListeningSockets
from tests.ports import free_port
from tests.tcp_support import service


@pytest.fixture
def listening() -> Iterator[ListeningSockets]:
    sockets = ListeningSockets()
    yield sockets
    sockets.close()


def at(*endpoints: str) -> list[ServiceSettings]:
    return [service(listen=endpoints)]


def change(listening: ListeningSockets, *endpoints: str) -> None:
    listening.keep(at(*endpoints), listening.open(at(*endpoints)))


def answers(port: int, address: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((address, port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("wide", ["", ":interface=0.0.0.0", ":interface=\\:\\:"])
def test_a_port_moves_between_addresses(listening: ListeningSockets, wide: str) -> None:
    """From one address to all of them and back: one change each, and who connects meanwhile is heard."""
    port = free_port()
    narrow = f"tcp:{port}:interface=127.0.0.1"
    change(listening, narrow)
    # As a program has it that accepts on it, and goes on for a while.
    program = next(iter(listening.sockets.values())).dup()
    opened = listening.open(at(f"tcp:{port}{wide}"))
    assert answers(port) and answers(port, "127.0.0.2")
    listening.keep(at(f"tcp:{port}{wide}"), opened)
    program.close()
    assert answers(port) and answers(port, "127.0.0.2")
    change(listening, narrow)
    assert answers(port) and not answers(port, "127.0.0.2")


def test_what_is_refused_changes_nothing(listening: ListeningSockets) -> None:
    """A reload whose other port cannot be had leaves the moved one where it was."""
    port = free_port()
    change(listening, f"tcp:{port}:interface=127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(CannotListen, match=f"tcp:{taken}"):
            listening.open(at(f"tcp:{port}", f"tcp:{taken}:interface=127.0.0.1"))
    assert answers(port) and not answers(port, "127.0.0.2")


def test_a_port_is_shared_with_nobody_else(listening: ListeningSockets) -> None:
    """Neither what stays nor a second daemon has a part of a port, however it was opened."""
    port = free_port()
    narrow = f"tcp:{port}:interface=127.0.0.1"
    change(listening, narrow)
    with pytest.raises(CannotListen, match="Address already in use"):
        listening.open(at(narrow, f"tcp:{port}"))
    change(listening, f"tcp:{port}")
    with pytest.raises(CannotListen, match="Address already in use"):
        ListeningSockets().open(at(narrow))
