"""Mail coming in over job pipes: submissions put together, answered when durable; recipients checked at RCPT."""

from collections.abc import Callable
from functools import lru_cache, partial
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from jobctl.config.settings import REPROCESS
from jobctl.controller.books import Books
from jobctl.controller.intake import Intake
from jobctl.controller.refusals import Refusal, refusal_for, refused, too_large
from jobctl.controller.resent import LONGEST, ResentMail
from jobctl.errors import ChannelViolation
from jobctl.jobprotocol.frames import Accepted, Refused, Route, Submit, VerdictFrame
from jobctl.mail.envelope import Priority, Recipient, Source
from jobctl.mail.hints import NO_HINTS, Hints, hints_of
from jobctl.routing.router import NoRoute

# Submissions one program may have open at a time; more is a program gone wrong.
MOST_OPEN = 10_000


class _Arriving:
    """One submission whose content is still coming; what cannot be kept of it is refused at its end."""

    def __init__(
        self, first: Submit, source: Source, priority: Priority | None, intake: Intake, store: Any
    ) -> None:
        self.first = first
        self.source = source
        self.priority = priority
        self.hints = NO_HINTS
        self.staged: Any = None
        self.beginning = b""
        self.eight = False
        self.refusal: Refusal | None = None
        self._intake = intake
        self._store = store
        self._limit = intake.most_octets(source.channel)

    def add(self, data: bytes) -> None:
        """A further piece; nothing more is written once it is to be refused."""
        if self.refusal is not None:
            return
        try:
            if self.staged is None:
                self.hints = hints_of(data)
                self.staged = self._store.stage()
                self.beginning = data
            if self._limit and self.staged.size + len(data) > self._limit:
                raise too_large()
            self.staged.write(data)
            self.eight = self.eight or not data.isascii()
        except Exception as why:
            self.discard()
            self.refusal = refusal_for(why)

    def discard(self) -> None:
        """Let go of what was kept."""
        if self.staged is not None:
            self.staged.discard()


class Arrivals:
    """
    What one job is bringing in.

    :param job: Answers go to its ``send``.
    :param relay_from: Gives the networks whose clients may send anywhere now; ``None``: this way in has
        no network clients, so everybody may (a program started by hand, a channel back to back).
    """

    def __init__(
        self,
        job: Any,
        intake: Intake,
        store: Any,
        relay_from: Callable[[Any], tuple[str, ...] | None],
        books: Books,
        resent: ResentMail,
    ) -> None:
        self._resent = resent
        self._job = job
        self._intake = intake
        self._store = store
        self._relay_from = relay_from
        self._books = books
        self._open: dict[str, _Arriving] = {}

    def submit(self, frame: Submit, content: bytes) -> None:
        """
        :raises ChannelViolation: A first piece without envelope or with a priority that is none, or a
            further one of nothing.
        """
        arriving = self._open.get(frame.id)
        if arriving is None:
            if frame.envelope is None or not frame.envelope.recipients:
                raise ChannelViolation(f"submit {frame.id[:64]!r} begins without an envelope")
            priority = _priority(frame)
            if priority is None:
                priority = self._mt_priority(frame)
            if frame.abort:
                return
            if not frame.more:
                hints = hints_of(content)
                eight = not content.isascii()
                self._accept(frame, frame, self._source(frame), content, len(content), priority, hints, eight)
                return
            if len(self._open) >= MOST_OPEN:
                raise ChannelViolation(f"more than {MOST_OPEN} submissions are open")
            arriving = _Arriving(frame, self._source(frame), priority, self._intake, self._store)
            self._open[frame.id] = arriving
        elif frame.abort:
            del self._open[frame.id]
            self._abort(arriving)
            return
        arriving.add(content)
        if frame.more:
            return
        del self._open[frame.id]
        if arriving.refusal is not None:
            self._refuse(frame.id, arriving.refusal)
        else:
            staged = arriving.staged
            self._accept(
                arriving.first,
                frame,
                arriving.source,
                staged,
                staged.size,
                arriving.priority,
                arriving.hints,
                arriving.eight,
                arriving.beginning,
            )

    def _mt_priority(self, frame: Submit) -> Priority | None:
        """What MT-PRIORITY asks for, of those who may (RFC 6710 section 5.1); others get the usual."""
        asked = frame.envelope.mt_priority if frame.envelope is not None else None
        if asked is None or not self._may_relay(frame.source):
            return None
        return Priority.URGENT if asked > 0 else Priority.NONURGENT if asked < 0 else Priority.NORMAL

    def _source(self, frame: Submit | Route) -> Source:
        """What comes in by a job comes from its channel, or one that its clients can come to."""
        source = frame.source
        if source is None:
            return Source(self._job.spec.channel.name)
        channel = self._job.spec.source(source.channel)
        return source if source.channel == channel else msgspec.structs.replace(source, channel=channel)

    def _accept(
        self,
        frame: Submit,
        last: Submit,
        source: Source,
        content: Any,
        size: int,
        priority: Priority | None,
        hints: Hints,
        eight: bool,
        beginning: bytes = b"",
    ) -> None:
        """Take responsibility; ``frame`` is the first one of the submission, ``last`` its last."""
        envelope = frame.envelope
        assert envelope is not None
        if eight:
            envelope = envelope.with_eight_bits()
        accept = partial(
            self._intake.accept,
            envelope,
            source,
            content,
            size,
            envelope_id=frame.envelope_id,
            priority=priority,
            hints=hints,
            beginning=beginning,
            job=self._job.id,
        )
        once = 0 < len(last.digest) <= LONGEST
        done: Deferred[list[str]] = self._once(last, accept, content) if once else accept()
        done.addCallbacks(self._accepted, self._refused, (frame.id,), {}, (frame.id, content))

    def _once(
        self, last: Submit, accept: Callable[[], "Deferred[list[str]]"], content: Any
    ) -> "Deferred[list[str]]":
        """Unless it was taken before, and its client does not know."""
        return self._resent.take(
            self._job.id,
            last.id,
            last.digest,
            self._intake.seconds() - max(last.seconds, 0.0),
            self._job.spec.channel.options.fast_smtp_session_time_limit,
            accept,
            (lambda: None) if type(content) is bytes else content.discard,
        )

    def _accepted(self, ids: list[str], reference: str) -> None:
        self._job.send(Accepted(id=reference, ids=tuple(ids)))

    def _refused(self, why: Failure, reference: str, content: Any) -> None:
        if type(content) is not bytes:
            content.discard()
        self._refuse(reference, refusal_for(why.value))

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
        source = self._source(frame)
        source_channel = source.channel
        lenience = self._intake.lenience
        may_relay = self._may_relay(frame.source)
        welcome = 250, "2.1.5", f"{frame.recipient} OK."
        try:
            route = router.route(frame.recipient, source_channel)
            ours = may_relay or router.is_ours(frame.recipient, source_channel)
        except NoRoute as why:
            # Whoever may not send anywhere is told: what leads nowhere is not ours, and may lead on tomorrow.
            if may_relay and lenience.all_addresses(source_channel):
                return *welcome, REPROCESS, ""
            return 550, why.status, why.text, "", ""
        except Exception as why:
            trouble = refusal_for(why)
            return trouble.code, trouble.status, trouble.text, "", ""
        if not ours:
            return 550, "5.7.1", f"Relaying not allowed: {frame.recipient}", "", ""
        place = route.channel, route.host
        try:
            known = self._intake.knows(frame.recipient, source_channel)
        except OSError as why:
            if not lenience.trouble(source_channel):
                trouble = refusal_for(why)
                return trouble.code, trouble.status, trouble.text, "", ""
            known, place = True, (REPROCESS, "")
        if not known:
            if not lenience.all_addresses(source_channel):
                return 550, "5.1.1", f"unknown or illegal alias: {frame.recipient}", "", ""
            place = REPROCESS, ""
        if self._intake.access:
            permission = self._intake.permission(
                frame.sender, Recipient(frame.recipient, orcpt=frame.orcpt or None), source, None
            )
            if permission.refusal is not None:
                told = refused(permission.refusal)
                return told.code, told.status, told.text, "", ""
        return *welcome, *place

    def _may_relay(self, source: Source | None) -> bool:
        networks = self._relay_from(self._job.spec)
        if networks is None or (source is not None and source.user):
            return True
        if source is None or not source.transport:
            # A person at this machine; a server that does not say who its client is lets nobody relay.
            return self._job.spec.service is None
        fields = source.transport.split("|")
        return len(fields) == 5 and may_relay(fields[3], networks)

    def lost(self) -> None:
        """The job is gone: what it had not finished was never owed to anybody."""
        for arriving in self._open.values():
            self._abort(arriving)
        self._open.clear()

    def _abort(self, arriving: _Arriving) -> None:
        received = 0 if arriving.staged is None else arriving.staged.size
        arriving.discard()
        self._books.aborted(self._job, arriving.first, received)


def _priority(frame: Submit) -> Priority | None:
    """The classes below nonurgent cannot be asked for; ``None``: the header says."""
    if not frame.priority:
        return None
    try:
        return min(Priority.named(frame.priority), Priority.NONURGENT)
    except KeyError:
        raise ChannelViolation(
            f"submit {frame.id[:64]!r}: no such priority: {frame.priority[:64]!r}"
        ) from None


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
