"""TLS by destination in tcp_smtp_client, and that nothing made for one destination serves another."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from channels.kit.client_security import ClientSecurity
from jobctl.config.tls_rules import TlsRule
from jobctl.jobprotocol.frames import Report
from jobctl.mail.disposition import Verdict
from tests.certificates import Authority
from tests.dns_server import Zone
from tests.tcp_support import BODY, NameServerThread, Peer, channel, message
from tests.test_tcp_client import client
from tests.test_tcp_client_tls import tls_server

# Three domains that share their mail exchanger.
ZONE = """one.example. 60 MX 10 mx.example.
two.example. 60 MX 10 mx.example.
three.example. 60 MX 10 mx.example.
mx.example. 60 A 127.0.0.1"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def rules(**policies: str | TlsRule) -> dict[str, TlsRule]:
    """By the first label of their domain."""
    return {
        f"{name}.example": one if isinstance(one, TlsRule) else TlsRule(f"{name}.example", one)
        for name, one in policies.items()
    }


class Shared:
    """An exchanger of three domains with a certificate, and what it saw: secure?, resumed?, contents."""

    def __init__(self, certificate: Path) -> None:
        self.taken: list[bytes] = []
        self.secure: list[bool] = []
        self.resumed: list[bool] = []
        self._script = tls_server(certificate, self.taken, self.secure, self.resumed)

    def deliver(self, hosts: tuple[str, ...], **how: Any) -> list[Report]:
        """One message to each, one after the other."""
        with (
            NameServerThread(Zone(ZONE)) as names,
            Peer(self._script) as peer,
            client(peer.port, nameservers=(names.address,), mx="randommx", **how) as program,
        ):
            reports = []
            for at, host in enumerate(hosts):
                program.send(message(f"E{at}", host=f"{host}.example"), BODY)
                reports.append(program.expect(Report))
            assert program.stop() == 0, program.log
        return reports


def test_a_policy_is_its_destinations_alone(authority: Authority) -> None:
    """
    Three domains behind one exchanger whose certificate is for another name: the one that must be verified waits,
    the one without TLS goes in the clear, the third encrypted; none uses the connection of another.
    """
    shared = Shared(authority.issue("other.example"))
    reports = shared.deliver(
        ("two", "one", "three", "one"),
        tls_policy="none",
        tls_ca_file=str(authority.file),
        tls_rules=rules(one="verify", two="must"),
    )
    assert [report.verdict for report in reports] == [
        Verdict.DELIVERED,
        Verdict.DEFERRED,
        Verdict.DELIVERED,
        Verdict.DEFERRED,
    ]
    assert "is not for mx.example" in reports[1].reply
    assert shared.secure == [True, True, False, True]
    assert len(shared.taken) == 2


def test_name_and_trust_of_a_destination(authority: Authority, tmp_path: Path) -> None:
    """A rule's name and trust anchors count for its destination; the others have the channel's."""
    stranger = Authority(tmp_path, "Other CA")
    shared = Shared(stranger.issue("mx.bank.example"))
    reports = shared.deliver(
        ("one", "two", "three"),
        tls_policy="verify",
        tls_ca_file=str(authority.file),
        tls_rules=rules(
            one=TlsRule("one.example", "verify", "mx.bank.example", str(stranger.file)),
            two=TlsRule("two.example", "verify", None, str(stranger.file)),
        ),
    )
    assert [report.verdict for report in reports] == [Verdict.DELIVERED, Verdict.DEFERRED, Verdict.DEFERRED]
    assert "is not for mx.example" in reports[1].reply
    assert "unknown authority" in reports[2].reply


def test_trust_anchors_that_cannot_be_used(authority: Authority, tmp_path: Path) -> None:
    """One destination's bad file makes its mail wait and is told; the others' goes."""
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate\n")
    shared = Shared(authority.issue("mx.example"))
    reports = shared.deliver(
        ("one", "two"),
        tls_policy="verify",
        tls_ca_file=str(authority.file),
        tls_rules=rules(one=TlsRule("one.example", "verify", None, str(bad))),
    )
    assert [report.verdict for report in reports] == [Verdict.DEFERRED, Verdict.DELIVERED]
    assert f"tls_ca_file {bad}: not a readable PEM file" in reports[0].reply


def test_the_gateways_policy_counts_not_the_recipients(authority: Authority) -> None:
    """Behind a gateway it is the gateway that is connected to."""
    shared = Shared(authority.issue("other.example"))
    with (
        Peer(tls_server(authority.issue("x.example"), shared.taken, shared.secure, [])) as peer,
        client(
            peer.port, tls_rules={"[127.0.0.1]": TlsRule("[127.0.0.1]", "must"), **rules(one="none")}
        ) as program,
    ):
        program.send(message("E0", host="one.example", gateway="[127.0.0.1]"), BODY)
        assert program.expect(Report).verdict is Verdict.DELIVERED
    assert shared.secure == [True]


ONE_EACH = {"attempt_transactions_per_session": 1}


def test_a_session_of_one_domain_is_not_resumed_for_another(authority: Authority) -> None:
    """The exchanger, its address and the policy are the same: what was found out for one domain is still its own."""
    shared = Shared(authority.issue("mx.example"))
    shared.deliver(
        ("one", "two", "one"), tls_policy="verify", tls_ca_file=str(authority.file), options=ONE_EACH
    )
    assert shared.resumed == [False, False, True]


def test_a_session_from_one_address_of_ours_is_not_resumed_from_another(authority: Authority) -> None:
    """A peer is not told that two of our addresses are one client."""
    shared = Shared(authority.issue("mx.example"))
    shared.deliver(
        ("one",) * 4,
        tls_policy="verify",
        tls_ca_file=str(authority.file),
        options=ONE_EACH,
        sourceaddresses=("127.0.0.2", "127.0.0.3"),
    )
    assert shared.resumed == [False, False, True, True]


def _key(tmp_path: Path, **changes: Any) -> tuple[object, ...]:
    """By what a session would be found again."""
    how = {
        "destination": "one.example",
        "name": "mx.example",
        "address": "192.0.2.1",
        "port": 25,
        "source": "",
        "policy": "must",
        "user": "ann",
        **changes,
    }
    secret = tmp_path / "secret"
    secret.write_text("sesame\n")
    security = ClientSecurity(
        channel(
            tls_policy=how["policy"],
            auth_username=how["user"],
            auth_password_file=None if how["user"] is None else str(secret),
        )
    )
    there = security.towards(how["destination"])
    return there.session(how["name"], how["address"], how["port"], how["source"]).key


@pytest.mark.parametrize(
    "changed",
    [
        {"destination": "two.example"},
        {"name": "mx2.example"},
        {"address": "192.0.2.2"},
        {"port": 26},
        {"source": "192.0.2.9"},
        {"policy": "verify"},
        {"user": "bob"},
        {"user": None},
    ],
)
def test_each_component_tells_peers_apart(tmp_path: Path, changed: dict[str, Any]) -> None:
    """Site, host, address, port, source address, policy and credential: one that differs is another peer."""
    assert _key(tmp_path) == _key(tmp_path)
    assert _key(tmp_path, **changed) != _key(tmp_path)


def test_a_rule_travels_as_json() -> None:
    """What hello says of rules is read back as it was."""
    settings = channel(tls_rules=rules(one="verify", two=TlsRule("two.example", "must", "x.example", "/ca")))
    told = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(settings)))
    assert msgspec.convert(told, type(settings)) == settings
