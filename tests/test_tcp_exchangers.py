"""Several mail exchangers of one domain: one of them slow, or with fewer extensions."""

import threading

import msgspec

from jobctl.jobprotocol.frames import Report
from jobctl.mail.disposition import Verdict
from tests.dns_server import Zone
from tests.tcp_support import BODY, NameServerThread, Peer, Wire, message
from tests.test_tcp_client import client

SLOWER = 50
MESSAGES = 400
ZONE = """two.example. 60 MX 10 fast.example.
two.example. 60 MX 10 slow.example.
fast.example. 60 A 127.0.4.1
slow.example. 60 A 127.0.4.2"""


class Exchangers:
    """Two servers: the slow one answers a message when the fast one has taken fifty more."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.fast = self.slow = 0
        self.open = 0
        self.over = False

    def serve_fast(self, wire: Wire, number: int) -> None:
        self._serve(wire, False)

    def serve_slow(self, wire: Wire, number: int) -> None:
        self._serve(wire, True)

    def _serve(self, wire: Wire, slow: bool) -> None:
        wire.greet()
        while (line := wire.line()) != b"QUIT":
            if line != b"DATA":
                wire.say("250 ok")
                continue
            wire.say("354 go")
            wire.content()
            with self._changed:
                if slow:
                    self.slow += 1
                    due = self.fast + SLOWER
                    self._changed.wait_for(lambda due=due: self.fast >= due or self.over, 5)
                else:
                    self.fast += 1
                    self._changed.notify_all()
            wire.say("250 2.0.0 taken")
        wire.say("221 bye")

    def finish(self) -> None:
        with self._changed:
            self.over = True
            self._changed.notify_all()


def test_a_slow_exchanger_gets_its_share_of_the_time_not_of_the_messages() -> None:
    """
    One of two exchangers is fifty times slower, and connections last a few messages: it gets about one message in
    fifty, and does not gather the connections, although each stays with it for so much longer.
    """
    both = Exchangers()
    with (
        NameServerThread(Zone(ZONE)) as names,
        Peer(both.serve_fast, "127.0.4.1") as fast,
        Peer(both.serve_slow, "127.0.4.2", fast.port),
        client(
            fast.port,
            mx="randommx",
            nameservers=(names.address,),
            threaddepth=1,
            options={"max_client_threads": 2, "attempt_transactions_per_session": 4},
        ) as program,
    ):
        for at in range(MESSAGES):
            program.send(message(f"E{at}", host="two.example"), BODY)
        reports = []
        for at in range(MESSAGES):
            if at == MESSAGES - 4:
                both.finish()
            reports.append(program.expect(Report))
        assert program.stop() == 0, program.log
    assert {report.verdict for report in reports} == {Verdict.DELIVERED}
    assert both.fast + both.slow == MESSAGES
    assert 1 <= both.slow <= 3 * MESSAGES // SLOWER


UNLIKE = """two.example. 60 MX 10 old.example.
two.example. 60 MX 20 new.example.
old.example. 60 A 127.0.4.1
new.example. 60 A 127.0.4.2"""


def serve(*offers: str):
    """A server that offers these extensions and takes what comes; it keeps who was given."""
    taken: list[bytes] = []

    def script(wire: Wire, number: int) -> None:
        wire.say("220 peer")
        assert wire.line().startswith(b"EHLO")
        wire.say("250-peer", *(f"250-{one}" for one in offers), "250 PIPELINING")
        while (line := wire.line()) != b"QUIT":
            if line == b"DATA":
                wire.say("354 go")
                wire.content()
            elif line.startswith(b"RCPT"):
                taken.append(line)
            wire.say("250 2.0.0 ok")
        wire.say("221 bye")

    return script, taken


def in_utf8(id: str):
    """A message that needs SMTPUTF8."""
    plain = message(id, host="two.example")
    return msgspec.structs.replace(plain, envelope=msgspec.structs.replace(plain.envelope, smtputf8=True))


def test_what_one_exchanger_does_not_offer_another_may() -> None:
    """The best exchanger lacks SMTPUTF8: mail that needs it goes to the next one, all other mail to the best."""
    (old, old_taken), (new, new_taken) = serve(), serve("SMTPUTF8")
    with (
        NameServerThread(Zone(UNLIKE)) as names,
        Peer(old, "127.0.4.1") as first,
        Peer(new, "127.0.4.2", first.port),
        client(first.port, mx="nonrandommx", nameservers=(names.address,)) as program,
    ):
        for at in range(4):
            program.send(in_utf8(f"U{at}"), BODY)
            program.send(message(f"P{at}", host="two.example"), BODY)
        reports = [program.expect(Report) for _ in range(8)]
        assert program.stop() == 0, program.log
    assert {report.verdict for report in reports} == {Verdict.DELIVERED}
    assert {report.remote for report in reports if report.id.startswith("U")} == {"new.example"}
    assert len(new_taken) >= 4
    assert len(old_taken) + len(new_taken) == 8


def test_what_no_exchanger_offers_fails() -> None:
    """Both lack SMTPUTF8: the message fails and says so, once both were asked."""
    (old, old_taken), (new, new_taken) = serve(), serve()
    with (
        NameServerThread(Zone(UNLIKE)) as names,
        Peer(old, "127.0.4.1") as first,
        Peer(new, "127.0.4.2", first.port) as second,
        client(first.port, mx="nonrandommx", nameservers=(names.address,)) as program,
    ):
        program.send(in_utf8("U"), BODY)
        report = program.expect(Report)
        assert program.stop() == 0, program.log
    assert (report.verdict, report.status) == (Verdict.FAILED, "5.6.7")
    assert first.count == second.count == 1
    assert not old_taken
    assert not new_taken


def test_an_exchanger_that_is_down_may_have_offered_it() -> None:
    """The one that could be talked to lacks SMTPUTF8, the other one cannot be reached: that is temporary."""
    old, _ = serve()
    with (
        NameServerThread(Zone(UNLIKE)) as names,
        Peer(old, "127.0.4.1") as first,
        client(first.port, mx="nonrandommx", nameservers=(names.address,)) as program,
    ):
        program.send(in_utf8("U"), BODY)
        report = program.expect(Report)
        assert program.stop() == 0, program.log
    assert (report.verdict, report.status) == (Verdict.DEFERRED, "4.4.1")
    assert "old.example does not offer what it needs" in report.reply
