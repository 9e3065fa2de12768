"""Several mail exchangers of one domain, one of them slow."""

import threading

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
