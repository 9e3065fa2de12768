"""Notifications of notifications come to an end: between any hosts, with any settings, whatever fails."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from jobctl.controller.refusals import Refusal
from jobctl.jobprotocol.frames import Ask
from jobctl.mail.entry import Lasting
from jobctl.mail.envelope import Envelope, Recipient, Source
from tests.controller_case import START, FakeJob, World

CONFIGURATION = """
[job_controller]
queue_directory = "/nonexistent"
[mta]
postmaster = "@POSTMASTER@"
[channel.l]
official_host_name = "@NAME@"
[channel.in]
official_host_name = "in-daemon"
smtp = true
slave_command = "slave"
[channel.out]
official_host_name = "out-daemon"
smtp = true
master_command = "master"
backoff = ["P1D"]
notices = [2, 4]
@KEYWORDS@
[rewrite]
"@NAME@" = "$U%@NAME@@out-daemon"
".example" = "out"
"""
NAMES = ("a.example", "b.example", "c.example")
LOCALS = ("ann", "postmaster", "root")
# In all of a run: what one message can bring about is far less, and what goes round is far more.
MOST = 20


class Host:
    """One daemon; what it cannot do is drawn, and what it sends to another host arrives there."""

    def __init__(self, name: str, clock: Clock, draw: st.DataObject) -> None:
        self.name = name
        keywords = [
            draw.draw(st.sampled_from(["sendpost", "copysendpost", "errsendpost", "nosendpost"])),
            draw.draw(st.sampled_from(["warnpost", "copywarnpost", "errwarnpost", "nowarnpost"])),
            draw.draw(st.sampled_from(["postheadonly", "postheadbody"])),
        ]
        postmaster = f"{draw.draw(st.sampled_from(LOCALS))}@{draw.draw(st.sampled_from([*NAMES, 'no.way']))}"
        text = CONFIGURATION.replace("@NAME@", name).replace("@POSTMASTER@", postmaster)
        text = text.replace("@KEYWORDS@", "\n".join(f"{word} = true" for word in keywords))
        self.dsn = draw.draw(st.booleans())
        self.fate = {
            local: draw.draw(st.sampled_from(["failed", "delivered", "deferred"])) for local in LOCALS
        }
        self.world = World(configuration=text, clock=clock)
        self.job: FakeJob | None = None

    def takes(self, envelope: Envelope, content: bytes) -> bool:
        """It comes in by SMTP."""
        done = self.world.controller.intake.accept(envelope, Source("in"), content, len(content))
        refused: list[Refusal] = []
        done.addErrback(lambda why: refused.append(why.value))
        self.world.turn()
        return not refused

    def work(self, hosts: "dict[str, Host]") -> int:
        """All that is at hand is tried; gives how much that was."""
        if self.job is None:
            if not self.world.supervisor.asked:
                return 0
            self.job = self.world.job()
        given = list(self.job.held)
        for id in given:
            self.attempt(next(one for one in reversed(self.job.assigned) if one.id == id), hosts)
        self.job.says(Ask(n=len(given)))
        self.world.turn()
        return len(given)

    def attempt(self, frame, hosts: "dict[str, Host]") -> None:
        (recipient,) = frame.envelope.recipients
        local, _, domain = recipient.address.partition("@")
        verdict = "failed"
        if domain == self.name:
            verdict = self.fate[local]
        elif domain in hosts and hosts[domain].takes(frame.envelope, self.job.contents[frame.id]):
            verdict = "relayed" if hosts[domain].dsn else "delivered"
        reply = {"failed": "550 5.1.1 no", "deferred": "451 4.3.0 later"}.get(verdict, "250 2.0.0 ok")
        self.job.report(frame.id, verdict, reply)

    def generated(self) -> int:
        """Notifications made so far."""
        ledger = self.world.do(self.world.store.memory.ledger())
        return sum(account["generated"] for account in ledger.values())

    def left(self) -> int:
        """Entries that are still queued."""
        return len([one for one in self.world.queued() if one.state is Lasting.QUEUED])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_it_comes_to_an_end(data):
    """Three hosts with random settings, postmasters at each other, and all that can fail: soon nothing is left."""
    clock = Clock()
    clock.advance(START)
    hosts = {name: Host(name, clock, data) for name in NAMES}
    sender = data.draw(st.sampled_from(["ann@a.example", "ann@b.example", "ann@no.way", ""]))
    recipient = f"{data.draw(st.sampled_from(LOCALS))}@{data.draw(st.sampled_from(NAMES))}"
    notify = data.draw(st.sampled_from([None, "NEVER", "SUCCESS,FAILURE,DELAY"]))
    whole = b"Subject: s\r\n\r\nhello\r\n"
    assert hosts["a.example"].takes(Envelope(sender, (Recipient(recipient, notify),)), whole)
    for _ in range(200):
        for host in hosts.values():
            host.work(hosts)
        generated = sum(host.generated() for host in hosts.values())
        assert generated <= MOST, "it goes round"
        if not any(host.left() for host in hosts.values()):
            break
        for host in hosts.values():
            host.world.turn(3600 * 8)
    assert not any(host.left() for host in hosts.values()), "there is still something to be sent"
    for host in hosts.values():
        host.world.balance()
