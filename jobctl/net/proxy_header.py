"""
The PROXY protocol, versions 1 and 2: a front end tells whose connection it passes on.

The specification is HAProxy's (proxy-protocol.txt).  Twisted reads it too, but only inside
an endpoint of its own; our listening sockets come from the controller.
"""

import ipaddress
import struct

import msgspec

from jobctl.mail.transportinfo import TransportInfo

# Seconds that a front end may take to say whose connection it is.
PATIENCE = 10.0

_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_V1 = b"PROXY "
# Section 2.1: the longest line of version 1, with CRLF.
_LONGEST_V1 = 107
# Version 2 can have 64 KiB of extras; nobody sends more than a few hundred octets.
_LONGEST_V2 = 4096
_FAMILIES = {0x11: (4, 12), 0x21: (16, 36)}  # TCP over IPv4, IPv6: octets of an address, of all


class Proxied(msgspec.Struct, frozen=True):
    """
    Whose connection it is: the client's and the front end's addresses and ports.

    :ivar client: ``""``: the front end speaks for itself (a health check).
    """

    client: str = ""
    client_port: int = 0
    server: str = ""
    server_port: int = 0


class HeaderReader:
    """
    The header that a connection begins with, as it comes in.

    :param here: The connection: ours with the front end.
    """

    def __init__(self, here: TransportInfo) -> None:
        self._here = here
        self._data = b""

    def take(self, data: bytes) -> tuple[TransportInfo, bytes] | None:
        """
        :return: The connection that is passed on, and what has come behind the header; ``None``: it goes on.
        :raises ValueError: It is no such header.
        """
        self._data += data
        found = read_header(self._data)
        if found is None:
            return None
        said, taken = found
        told = self._here
        if said.client:
            told = told.of(said.client, said.client_port, said.server, said.server_port)
        return told, self._data[taken:]


def read_header(data: bytes) -> tuple[Proxied, int] | None:
    """
    :param data: All octets that have come so far.
    :return: What it says and how many octets it took; ``None``: it goes on.
    :raises ValueError: It is no such header.
    """
    if data.startswith(_V2):
        return _read_v2(data)
    if data.startswith(_V1):
        return _read_v1(data)
    if _V2.startswith(data) or _V1.startswith(data):
        return None
    raise ValueError("no PROXY header")


def _read_v1(data: bytes) -> tuple[Proxied, int] | None:
    end = data.find(b"\r\n", 0, _LONGEST_V1)
    if end < 0:
        if len(data) >= _LONGEST_V1:
            raise ValueError("PROXY header too long")
        return None
    words = data[:end].decode("ascii", "replace").split(" ")
    if words[1:2] == ["UNKNOWN"]:
        return Proxied(), end + 2
    # A zone is no part of an address here, and could be any text.
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6") or "%" in words[2] + words[3]:
        raise ValueError("malformed PROXY header")
    client, server = (str(ipaddress.ip_address(word)) for word in words[2:4])
    if not all(word.isdigit() and len(word) <= 5 and int(word) < 65536 for word in words[4:]):
        raise ValueError("malformed port in PROXY header")
    return Proxied(client, int(words[4]), server, int(words[5])), end + 2


def _read_v2(data: bytes) -> tuple[Proxied, int] | None:
    if len(data) < 16:
        return None
    version, family, length = struct.unpack_from("!BBH", data, 12)
    if version >> 4 != 2 or version & 15 > 1 or length > _LONGEST_V2:
        raise ValueError("malformed PROXY header")
    if len(data) < 16 + length:
        return None
    known = _FAMILIES.get(family)
    if version & 15 == 0 or known is None:
        return Proxied(), 16 + length
    size, least = known
    if length < least:
        raise ValueError("PROXY header too short")
    client, server = (str(ipaddress.ip_address(data[at : at + size])) for at in (16, 16 + size))
    client_port, server_port = struct.unpack_from("!HH", data, 16 + 2 * size)
    return Proxied(client, client_port, server, server_port), 16 + length
