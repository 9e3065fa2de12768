"""A name server for one test: a zone in text, and a few ways to misbehave."""

import struct
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.protocols.basic import Int16StringReceiver


class Zone:
    """
    Answers from lines such as ``b.example. 60 MX 10 mx.b.example.``; names not in it do not exist.

    :ivar asked: Every question, ``(name, type)``.
    :ivar rcodes: Name to the response code it gets instead of an answer; ``None``: no answer at all.
    """

    def __init__(self, text: str) -> None:
        self.asked: list[tuple[str, str]] = []
        self.rcodes: dict[str, int | None] = {}
        self.over_tcp = 0
        self._records: dict[tuple[str, str], list[Any]] = {}
        for line in text.strip().splitlines():
            owner, ttl, kind, data = line.split(None, 3)
            self._records.setdefault((owner.lower(), kind), []).append((int(ttl), data))

    def answer(self, wire: bytes) -> Any:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        response = dns.message.make_response(query)
        if name in self.rcodes:
            code = self.rcodes[name]
            if code is None:
                return None
            response.set_rcode(code)
            return response
        known = False
        for _ in range(20):
            known = known or any(owner == name for owner, _ in self._records)
            if found := self._records.get((name, kind)):
                texts = [data for _, data in found]
                response.answer.append(dns.rrset.from_text_list(name, found[0][0], "IN", kind, texts))
                break
            alias = self._records.get((name, "CNAME"))
            if alias is None:
                break
            response.answer.append(dns.rrset.from_text(name, alias[0][0], "IN", "CNAME", alias[0][1]))
            name = alias[0][1].lower()
        if not known:
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response


class _Udp(DatagramProtocol):
    noisy = False

    def __init__(self, zone: Zone) -> None:
        self._zone = zone

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        response = self._zone.answer(datagram)
        if response is None:
            return
        wire = response.to_wire(max_size=65535, want_shuffle=False)
        if len(wire) > 512:
            response.answer.clear()
            response.flags |= dns.flags.TC
            wire = response.to_wire()
        self.transport.write(wire, addr)


class _Tcp(Int16StringReceiver):
    def stringReceived(self, string: bytes) -> None:
        self.factory.zone.over_tcp += 1
        response = self.factory.zone.answer(string)
        if response is not None:
            wire = response.to_wire(max_size=65535, want_shuffle=False)
            self.transport.write(struct.pack(">H", len(wire)) + wire)

    def connectionMade(self) -> None:
        self.factory.open.add(self.transport)


class NameServer:
    """The zone on one port of loopback, UDP and TCP."""

    def __init__(self, reactor: Any, zone: Zone) -> None:
        self.zone = zone
        self._factory: Any = Factory.forProtocol(_Tcp)
        self._factory.noisy = False
        self._factory.zone = zone
        self._factory.open = set()
        self._tcp = reactor.listenTCP(0, self._factory, interface="127.0.0.1")
        self.port = self._tcp.getHost().port
        self._udp = reactor.listenUDP(self.port, _Udp(zone), interface="127.0.0.1")
        self.address = f"127.0.0.1:{self.port}"

    def close(self) -> "Deferred[Any]":
        for transport in self._factory.open:
            transport.abortConnection()
        return gatherResults([maybeDeferred(self._tcp.stopListening), maybeDeferred(self._udp.stopListening)])
