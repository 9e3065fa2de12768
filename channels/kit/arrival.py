"""A message coming in: our Received field before it, the loop check, and its pieces for the controller."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jobctl.config.settings import ChannelSettings
from jobctl.jobprotocol.frames import PIECE, Submit
from jobctl.mail.envelope import Envelope, Source
from jobctl.mail.reply import Reply
from jobctl.mail.trace import new_envelope_id, received_count, received_field
from jobctl.mail.transportinfo import TransportInfo

if TYPE_CHECKING:
    from channels.kit.transfer import Transfer

_MAX_RECEIVED_LINES = 50
_LOOP = Reply(554, "5.4.6 Mail loop: too many Received fields in the header.")


class Reception:
    """
    What every arrival of a session has in common.

    :param mta: Of the controller's hello: ``received_domain``, the name of this host in Received fields, by default
        that of the channel; ``max_received_lines``, above which a message is taken for a loop.
    :ivar product: In the comment behind that name.
    """

    def __init__(
        self,
        send: Callable[[Any, bytes], None],
        clock: Callable[[], float],
        mta: dict[str, Any],
        product: str,
    ) -> None:
        self.send = send
        self.clock = clock
        self.received_domain = str(mta.get("received_domain") or "")
        self.product = product
        most = mta.get("max_received_lines", _MAX_RECEIVED_LINES)
        self.max_received = most if isinstance(most, int) else _MAX_RECEIVED_LINES
        self._count = 0
        # When the content under way began to come, by the clock.
        self._began: float | None = None

    def look(self, receiving: bool) -> None:
        """Something has come in; whether content does."""
        if not receiving:
            self._began = None
        elif self._began is None:
            self._began = self.clock()

    def begin(
        self,
        channel: ChannelSettings,
        envelope: Envelope,
        source: Source,
        helo: str,
        protocol: str,
        shown: tuple[TransportInfo | None, str | None],
        beginning: bytes,
        whole: bool,
    ) -> Arrival:
        """
        Take the first octets of a message.

        :param channel: By which it comes in.
        :param shown: Connection and name of the client, as far as they stand in the Received field.
        :param beginning: With the whole header, or as much of it as one piece holds.
        :param whole: There is no more.
        """
        self._count += 1
        arrival = Arrival(str(self._count), self.send, self.clock)
        if received_count(beginning) > self.max_received:
            arrival.refusal = _LOOP
            return arrival
        when = self.clock()
        if channel.options.reuse_timed_out_transfers:
            # Late, too.
            from channels.kit.transfer import Transfer

            began = when if self._began is None else self._began
            client = TransportInfo.parse(source.transport)[0].remote_ip
            arrival.transfer = Transfer(client, source.user, envelope, began)
            arrival.transfer.add(beginning)
        by = self.received_domain or channel.local_host
        envelope_id = new_envelope_id(when, by)
        added = b""
        if channel.submit or channel.authrewrite:
            # Late: most channels take no submissions.
            from channels.kit.fix_ups import fixed, wants_fixing

            if wants_fixing(channel, source.user):
                made = fixed(channel, envelope, source.user, beginning, whole, when, envelope_id)
                if isinstance(made, Reply):
                    arrival.refusal = made
                    return arrival
                added, beginning = made
        recipients = envelope.recipients
        field = received_field(
            helo=helo,
            transport=shown[0],
            by=by,
            protocol=protocol,
            envelope_id=envelope_id,
            recipient=recipients[0].address if len(recipients) == 1 and channel.receivedfor else None,
            sender=envelope.sender if channel.receivedfrom else None,
            when=when,
            product=self.product,
            rdns=shown[1],
        )
        field += added
        octets = len(field) + len(beginning)
        frame = Submit(
            id=arrival.id,
            envelope=envelope,
            source=source,
            octets=octets if whole else 0,
            envelope_id=envelope_id,
            more=True,
        )
        if octets <= PIECE:
            frame.more = not whole
            if whole:
                arrival.mark(frame)
            self.send(frame, field + beginning)
        else:
            self.send(frame, field)
            arrival.push(beginning, whole)
        return arrival


class Arrival:
    """
    One message on its way to the controller.

    :ivar id: Of the submission.
    :ivar refusal: It is not taken, whatever else comes of it; nothing was submitted.
    :ivar transfer: What is known of it, where it may come again.
    """

    def __init__(self, id: str, send: Callable[[Any, bytes], None], clock: Callable[[], float]) -> None:
        self.id = id
        self.refusal: Reply | None = None
        self.transfer: Transfer | None = None
        self._send = send
        self._clock = clock

    def add(self, data: bytes, last: bool) -> None:
        """The next octets; ``last``: the message is complete."""
        if self.refusal is not None:
            return
        if self.transfer is not None:
            self.transfer.add(data)
        self.push(data, last)

    def push(self, data: bytes, last: bool) -> None:
        """Hand octets to the controller, whoever they are from."""
        while len(data) > PIECE:
            self._send(Submit(id=self.id, more=True), data[:PIECE])
            data = data[PIECE:]
        frame = Submit(id=self.id, more=not last)
        if last:
            self.mark(frame)
        self._send(frame, data)

    def mark(self, last: Submit) -> None:
        """The last frame says by what the message is known."""
        if self.transfer is not None:
            last.digest, last.seconds = self.transfer.finished(self._clock())

    def drop(self) -> None:
        """The rest will never come."""
        if self.refusal is None:
            self._send(Submit(id=self.id, abort=True), b"")
