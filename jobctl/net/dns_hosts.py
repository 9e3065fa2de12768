"""The hosts file and resolv.conf: names and servers that the machine itself knows."""

import ipaddress
from pathlib import Path

# Neither file is the place for more; a huge one must not cost memory in every job.
_LONGEST_FILE = 1024 * 1024


def _lines(path: str) -> list[list[str]]:
    """Words of each line, comments taken off; ``[]`` when it cannot be read."""
    try:
        with Path(path).open(encoding="ascii", errors="replace") as file:
            text = file.read(_LONGEST_FILE)
    except OSError:
        return []
    return [words for line in text.splitlines() if (words := line.split("#", 1)[0].split())]


def is_address(text: str) -> bool:
    """Whether ``text`` is an IPv4 or IPv6 address (RFC 4291 section 2.2 text forms)."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class HostsFile:
    """The hosts file as it was when the program started (hosts(5))."""

    def __init__(self, path: str = "/etc/hosts") -> None:
        self._addresses: dict[str, list[str]] = {}
        self._names: dict[str, str] = {}
        for address, *names in _lines(path):
            if not is_address(address):
                continue
            for name in names:
                self._addresses.setdefault(name.lower(), []).append(address)
            if names:
                self._names.setdefault(address, names[0])

    def addresses(self, name: str) -> list[str]:
        """Its addresses; ``localhost`` always has some (RFC 6761 section 6.3)."""
        name = name.lower()
        found = self._addresses.get(name, [])
        if not found and (name == "localhost" or name.endswith(".localhost")):
            return ["127.0.0.1", "::1"]
        return list(dict.fromkeys(found))

    def name(self, address: str) -> str | None:
        """The first name given to an address."""
        return self._names.get(address)


def parse_server(text: str) -> tuple[str, int]:
    """
    A name server as written: ``ip``, ``ip:port``, ``[v6]:port`` or bare ``v6``.

    :raises ValueError: It is none of these.
    """
    host, port = text, "53"
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or "53"
    elif text.count(":") == 1:
        host, port = text.split(":")
    if not is_address(host) or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"not the address of a name server: {text!r}")
    return host, int(port)


def system_servers(path: str = "/etc/resolv.conf") -> list[tuple[str, int]]:
    """The ``nameserver`` lines of resolv.conf(5); the machine itself when there are none."""
    found = [
        (words[1], 53)
        for words in _lines(path)
        if words[0] == "nameserver" and len(words) > 1 and is_address(words[1])
    ]
    return found[:3] or [("127.0.0.1", 53)]
