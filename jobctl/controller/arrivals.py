"""Mail coming in over job pipes: submissions put together, answered when durable; recipients checked at RCPT."""

from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from jobctl.controller.intake import Intake, Refusal
from jobctl.errors import ChannelViolation, StoreFull
from jobctl.jobprotocol.frames import Accepted, Refused, Route, Submit, VerdictFrame
from jobctl.mail.envelope import Priority, Source
from jobctl.routing.router import NoRoute

# Submissions one program may have open at a time; more is a program gone wrong.
MOST_OPEN = 10_000


class _Arriving:
    """One submission whose content is still coming."""

    def __init__(self, first: Submit, staged: Any) -> None:
        self.first = first
        self.staged = staged
        self.refusal: Refusal | None = None


class Arrivals:
    """
    What one job is bringing in.

    :param job: Answers go to its ``send``.
    :param relay_from: Networks whose clients may send anywhere; ``None``: this way in has no
        network clients, so everybody may (a program started by hand, a channel back to back).
    """

    def __init__(self, job: Any, intake: Intake, store: Any, relay_from: tuple[str, ...] | None) -> None:
        self._job = job
        self._intake = intake
        self._store = store
        self._relay_from = relay_from
        self._open: dict[str, _Arriving] = {}

    def submit(self, frame: Submit, content: bytes) -> None:
        """
        :raises ChannelViolation: A first piece without envelope, or a further one of nothing.
        """
        arriving = self._open.get(frame.id)
        if arriving is None:
            if frame.envelope is None or not frame.envelope.recipients:
                raise ChannelViolation(f"submit {frame.id} begins without an envelope")
            if not frame.more:
                self._accept(frame, content, len(content))
                return
            if len(self._open) >= MOST_OPEN:
                raise ChannelViolation(f"more than {MOST_OPEN} submissions are open")
            arriving = self._open[frame.id] = _Arriving(frame, self._store.stage())
        if frame.abort:
            arriving.staged.discard()
            del self._open[frame.id]
            return
        if arriving.refusal is None:
            try:
                arriving.staged.write(content)
            except StoreFull:
                arriving.refusal = Refusal(452, "4.3.1", "Insufficient system storage")
            except OSError:
                arriving.staged.discard()
                arriving.refusal = Refusal(451, "4.3.0", "The message could not be stored; try again later")
        if frame.more:
            return
        del self._open[frame.id]
        if arriving.refusal is not None:
            self._refuse(frame.id, arriving.refusal)
        else:
            self._accept(arriving.first, arriving.staged, arriving.staged.size)

    def _accept(self, frame: Submit, content: Any, size: int) -> None:
        spec = self._job.spec
        source = frame.source or Source(spec.channel.name)
        envelope = frame.envelope
        assert envelope is not None
        try:
            priority = Priority.named(frame.priority or "normal")
        except KeyError:
            raise ChannelViolation(f"submit {frame.id}: no such priority: {frame.priority}") from None
        done: Deferred[list[str]] = self._intake.accept(
            envelope, source, content, size, envelope_id=frame.envelope_id, priority=priority
        )
        done.addCallbacks(self._accepted, self._refused, (frame.id,), None, (frame.id, content))

    def _accepted(self, ids: list[str], reference: str) -> None:
        self._job.send(Accepted(id=reference, ids=tuple(ids)))

    def _refused(self, why: Failure, reference: str, content: Any) -> None:
        if type(content) is not bytes:
            content.discard()
        if isinstance(why.value, Refusal):
            self._refuse(reference, why.value)
        else:
            self._refuse(reference, Refusal(451, "4.3.0", "Local error; try again later"))
            why.raiseException()

    def _refuse(self, reference: str, why: Refusal) -> None:
        self._job.send(Refused(id=reference, code=why.code, status=why.status, text=why.text))

    def route(self, frame: Route) -> None:
        """Answer whether a recipient may come in."""
        code, status, text, channel, host = self._verdict(frame)
        self._job.send(
            VerdictFrame(id=frame.id, code=code, status=status, text=text, channel=channel, host=host)
        )

    def _verdict(self, frame: Route) -> tuple[int, str, str, str, str]:
        router = self._intake.router
        source_channel = self._job.spec.channel.name
        try:
            route = router.route(frame.recipient, source_channel)
        except NoRoute as why:
            return 550, why.status, why.text, "", ""
        if not self._may_relay(frame.source) and not router.is_ours(frame.recipient, source_channel):
            return 550, "5.7.1", f"Relaying not allowed: {frame.recipient}", "", ""
        return 250, "2.1.5", f"{frame.recipient} OK.", route.channel, route.host

    def _may_relay(self, source: Source | None) -> bool:
        if self._relay_from is None or source is None or not source.transport:
            return True
        fields = source.transport.split("|")
        return len(fields) == 5 and may_relay(fields[3], self._relay_from)

    def lost(self) -> None:
        """The job is gone: what it had not finished was never owed to anybody."""
        for arriving in self._open.values():
            arriving.staged.discard()
        self._open.clear()


@lru_cache(4096)
def may_relay(address: str, networks: tuple[str, ...]) -> bool:
    """Whether a client's address is in one of the networks; ``False`` for what is no address."""
    try:
        client = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(client, "ipv4_mapped", None)
    client = mapped or client
    return any(client in ip_network(network, strict=False) for network in networks)
