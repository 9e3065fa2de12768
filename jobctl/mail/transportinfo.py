"""The transport string: which connection a dialogue runs over, as ``TRANSPORTINFO`` and the log have it."""

from functools import lru_cache

import msgspec

_FORM = "TCP|local address|local port|remote address|remote port"


class TransportInfo(msgspec.Struct, frozen=True):
    """
    One connection, our side first whoever opened it.

    :ivar text: The string as given, for log and probes; ``""`` when there is none.
    :ivar local_ip: Bare literal without brackets, ``""`` when unknown; so are the others.
    :ivar local_port: Decimal digits.
    """

    text: str = ""
    local_ip: str = ""
    local_port: str = ""
    remote_ip: str = ""
    remote_port: str = ""

    @classmethod
    def parse(cls, text: str) -> "tuple[TransportInfo, str | None]":
        """
        Take ``TCP|a|b|c|d`` apart; fields may be empty.

        :return: The connection, and what is wrong with the string, if anything: it is then
            kept as it is and no address is known.
        """
        if not text:
            return cls(), None
        fields = text.split("|")
        wrong = _mistake(fields)
        if wrong is not None:
            return cls(text), f"transport information {text[:200]!r} is not {_FORM}: {wrong}"
        return cls(text, *fields[1:]), None

    @classmethod
    def make(cls, local: str, lport: int | str, remote: str, rport: int | str) -> "TransportInfo":
        """The string and its parts from the addresses of a socket."""
        return cls(f"TCP|{local}|{lport}|{remote}|{rport}", local, str(lport), remote, str(rport))

    def of(
        self, client: str, port: int | str, server: str = "", server_port: int | str = ""
    ) -> "TransportInfo":
        """
        The connection that a front end at the other end of this one says it passes on.

        :param server: Whom the client connected to, ``""``: whom the front end did; likewise its port.
        """
        return self.make(server or self.local_ip, server_port or self.local_port, client, port)


def _mistake(fields: list[str]) -> str | None:
    if len(fields) != 5:
        return f"{len(fields) - 1} separators instead of 4"
    if fields[0] != "TCP":
        return "it does not begin with TCP"
    for address in (fields[1], fields[3]):
        if address and not is_address(address):
            return f"{address[:60]!r} is no address"
    for port in (fields[2], fields[4]):
        if port and not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65536):
            return f"{port[:60]!r} is no port"
    return None


@lru_cache(1024)
def is_address(text: str) -> bool:
    """Whether a text is an IPv4 or IPv6 address without brackets."""
    # Late: programs without transport information start faster without it.
    from ipaddress import ip_address

    try:
        ip_address(text)
    except ValueError:
        return False
    return True
