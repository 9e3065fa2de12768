"""Messages that come in over the control socket."""

import os
from email.utils import formatdate
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from jobctl.control.envelopes import envelope_of, priority_of
from jobctl.control.operations import Caller, IReceiver
from jobctl.control.refusals import unknown_channel
from jobctl.control.requests import Enqueue
from jobctl.errors import UsageError
from jobctl.jobprotocol.frames import PIECE
from jobctl.mail.envelope import Envelope, Priority, Source
from jobctl.mail.hints import NO_HINTS, hints_of
from jobctl.mail.trace import new_envelope_id


def receiver(controller: Any, request: Enqueue, caller: Caller) -> "Receiver":
    """
    Check a request and begin to take its content.

    :raises UsageError: An address, channel or priority that will not do.
    """
    settings = controller.settings
    if request.channel is not None and request.channel not in settings.channels:
        raise unknown_channel(request.channel, settings.channels)
    envelope = envelope_of(request)
    priority = priority_of(request)
    limit = settings.mta.block_limit
    if limit and request.octets > limit:
        raise UsageError(
            f"{request.octets} octets are more than the {limit} allowed (block_limit)", os.EX_DATAERR
        )
    return Receiver(controller, envelope, priority, request.channel, caller, limit)


@implementer(IReceiver)
class Receiver:
    """
    One message: kept in memory while it is small, staged on disk beyond that.

    :param limit: Most octets, 0 = no limit.
    """

    def __init__(
        self,
        controller: Any,
        envelope: Envelope,
        priority: Priority | None,
        channel: str | None,
        caller: Caller,
        limit: int,
    ) -> None:
        self._at = controller
        self._envelope = envelope
        self._priority = priority
        self._channel = channel
        self._caller = caller
        self._limit = limit
        self._staged: Any = None
        self._hints = NO_HINTS
        self._beginning = b""
        now = controller.reactor.seconds()
        host = controller.settings.local_host
        self._envelope_id = new_envelope_id(now, host)
        # RFC 5321 section 4.4 wants a trace of each hop; this one was no SMTP, so it has no ``with``.
        who = "".join(c if c.isalnum() or c in "-._" else "?" for c in caller.name)
        self._pieces = [
            f"Received: by {host} (jobctl control socket, {who})\r\n"
            f" id {self._envelope_id}; {formatdate(now)}\r\n".encode("ascii")
        ]
        self._own = self._size = len(self._pieces[0])
        self._eight = False

    def write(self, data: bytes) -> None:
        self._size += len(data)
        if self._limit and self._size - self._own > self._limit:
            self.abort()
            raise UsageError(f"more octets than the {self._limit} allowed (block_limit)", os.EX_DATAERR)
        self._eight = self._eight or not data.isascii()
        if self._staged is None and self._size > PIECE:
            beginning = b"".join(self._pieces)
            self._pieces = []
            self._hints = hints_of(beginning + data)
            self._staged = self._at.store.stage()
            self._staged.write(beginning)
            self._beginning = beginning
        if self._staged is None:
            self._pieces.append(data)
        else:
            self._staged.write(data)

    def finish(self) -> Deferred[list[str]]:
        envelope = self._envelope
        if self._eight:
            envelope = envelope.with_eight_bits()
        content = self._staged
        if content is None:
            content = b"".join(self._pieces)
            self._hints = hints_of(content)
        done: Deferred[list[str]] = self._at.intake.accept(
            envelope,
            Source("l", user=self._caller.name),
            content,
            self._size,
            envelope_id=self._envelope_id,
            priority=self._priority,
            channel=self._channel,
            hints=self._hints,
            beginning=self._beginning,
        )
        return done.addErrback(self._refused)

    def _refused(self, why: Failure) -> Failure:
        self.abort()
        return why

    def abort(self) -> None:
        if self._staged is not None:
            self._staged.discard()
            self._staged = None
        self._pieces = []
