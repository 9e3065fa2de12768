"""Questions to the name service through twisted.names, with our own cache and bounds."""

from collections.abc import Sequence
from typing import Any

import idna
from twisted.internet.defer import TimeoutError as DeferTimeout
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.names import dns
from twisted.names.client import Resolver as WireResolver
from twisted.names.error import (
    DNSFormatError,
    DNSNameError,
    DNSNotImplementedError,
    DNSQueryRefusedError,
    DNSServerError,
    DomainError,
)

from jobctl.net.dns_cache import DnsCache
from jobctl.net.dns_errors import DnsTrouble, NoSuchHost

# Aliases followed for one question, over all answers.
MAX_ALIASES = 8
# Records of one answer that are looked at.
MAX_RECORDS = 1000
# A name without the record asked for is not asked again for this long (RFC 2308 allows hours).
NEGATIVE = 60.0
# A few in turn for each server: about what the C library's resolver waits.
TIMEOUTS = (2, 5)

_CODES: dict[type[DomainError], str] = {
    DNSFormatError: "FORMERR",
    DNSServerError: "SERVFAIL",
    DNSNotImplementedError: "NOTIMP",
    DNSQueryRefusedError: "REFUSED",
}


def wire_name(host: str) -> str:
    """
    A host name as it is asked for: A-labels, lower case, no final dot.

    :raises NoSuchHost: It can be no domain name (5.1.2).
    """
    name = host.rstrip(".").lower()
    try:
        if not name.isascii():
            name = idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise NoSuchHost("5.1.2", f"{host!r} is not a domain name") from None
    if not name or len(name) > 253 or not all(0 < len(label) < 64 for label in name.split(".")):
        raise NoSuchHost("5.1.2", f"{host!r} is not a domain name")
    return name


class _Wire(WireResolver):
    """Long answers, over TCP, are waited for no longer than the others."""

    def queryTCP(self, queries: Any, timeout: float | None = None) -> Any:
        timeouts: Any = self.timeout
        return super().queryTCP(queries, timeout or timeouts[-1])


class DnsLookup:
    """
    Ask for records of one type, aliases followed, answers cached by their lifetime.

    The same question asked twice at a time goes out once.  An answer that was cut
    is asked again over TCP (RFC 7766).

    :param servers: Addresses and ports, asked in this order.
    """

    def __init__(
        self, reactor: Any, servers: Sequence[tuple[str, int]], timeouts: Sequence[float] = TIMEOUTS
    ) -> None:
        self._reactor = reactor
        self._wire = _Wire(servers=list(servers), timeout=tuple(timeouts), reactor=reactor)
        # Covers the servers in turn and a further question over TCP.
        self._patience = sum(timeouts) * len(servers) + timeouts[-1] + 0.5
        self._cache: DnsCache[tuple[Any, ...] | NoSuchHost] = DnsCache()

    async def records(self, name: str, type: int) -> tuple[Any, ...]:
        """
        The payloads (``dns.Record_MX`` ...) of ``name``; empty when it has none of this type.

        :raises NoSuchHost: The name does not exist (5.1.2).
        :raises DnsTrouble: No answer, or one that says nothing.
        """
        for _ in range(MAX_ALIASES):
            key = (name, type)
            known = self._cache.get(key, self._reactor.seconds())
            if known is None:
                known, lifetime = await self._ask(name, type)
                self._cache.put(key, known, self._reactor.seconds(), lifetime)
            if isinstance(known, NoSuchHost):
                raise NoSuchHost(known.status, known.text)
            if not (known and isinstance(known[0], dns.Record_CNAME)):
                return known
            name = _text(known[0].name)
        raise DnsTrouble(f"too many aliases from {name}", "4.4.4")

    async def _ask(self, name: str, type: int) -> tuple[tuple[Any, ...] | NoSuchHost, float]:
        """One question: what to remember of the answer, and for how many seconds."""
        asked = self._wire.query(dns.Query(name.encode("ascii"), type, dns.IN))
        asked.addTimeout(self._patience, self._reactor)
        try:
            answers, _, _ = await asked
        except DNSNameError:
            return NoSuchHost("5.1.2", f"host {name} does not exist"), NEGATIVE
        except DomainError as why:
            # SERVFAIL, REFUSED, NOTIMP, FORMERR: somebody's trouble, not the sender's.
            raise DnsTrouble(f"name service error for {name}: {_reason(why)}") from None
        except (DeferTimeout, TimeoutError):
            raise DnsTrouble(f"name service error for {name}: no answer in time") from None
        except (OSError, ConnectError, ConnectionClosed) as why:
            raise DnsTrouble(f"name service error for {name}: {why}") from None
        return _chosen(name, type, answers[:MAX_RECORDS])

    def close(self) -> None:
        """Give up the connections kept for long answers."""
        for connection in list(self._wire.connections):
            connection.transport.abortConnection()


def _text(name: Any) -> str:
    return str(name.name.decode("ascii", "replace").rstrip(".").lower())


def _reason(why: DomainError) -> str:
    """What the response code says, by the name that name servers' own tools give it."""
    return _CODES.get(type(why), type(why).__name__)


def _chosen(name: str, type: int, answers: Sequence[Any]) -> tuple[tuple[Any, ...], float]:
    """
    The records of ``name``, following the aliases within the answer.

    An alias that leads out of the answer comes back alone: it is asked for next.
    Owners that are not on the way from ``name`` are nobody's business here.

    :raises DnsTrouble: The aliases go on and on.
    """
    by_owner: dict[str, list[Any]] = {}
    for record in answers:
        by_owner.setdefault(_text(record.name), []).append(record)
    lifetime = float("inf")
    alias: Any = None
    for _ in range(MAX_ALIASES):
        here = by_owner.get(name, [])
        found = [record for record in here if record.type == type]
        if found:
            lifetime = min([lifetime] + [record.ttl for record in found])
            return tuple(record.payload for record in found), lifetime
        onward = next((record for record in here if record.type == dns.CNAME), None)
        if onward is None:
            break
        lifetime = min(lifetime, onward.ttl)
        alias, name = onward.payload, _text(onward.payload.name)
    else:
        raise DnsTrouble(f"too many aliases to {name}", "4.4.4")
    return ((alias,), lifetime) if alias is not None else ((), NEGATIVE)
