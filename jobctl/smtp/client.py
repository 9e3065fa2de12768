"""The client's side of SMTP and LMTP as a dialogue: messages in, verdicts out (RFC 5321, RFC 2033)."""

from jobctl.errors import ProtocolViolation
from jobctl.mail.envelope import Envelope
from jobctl.mail.modifiers import modifiers
from jobctl.mail.reply import Reply
from jobctl.mime.unsendable import Unsendable
from jobctl.smtp.client_config import ClientConfig
from jobctl.smtp.client_content import CHUNK, MOST_CHUNKS
from jobctl.smtp.client_replies import closing, replied
from jobctl.smtp.client_shaping import Shaping
from jobctl.smtp.client_states import Phase, Step, reply_seconds
from jobctl.smtp.client_talk import Talk
from jobctl.smtp.client_timing import Timing
from jobctl.smtp.client_transaction import Transaction
from jobctl.smtp.client_unsent import unsent as first_unsent
from jobctl.smtp.events import Closed, Done, Event, NeedContent, Ready, SessionFailed, StartTls
from jobctl.smtp.reply_reader import ReplyReader


class ClientDialogue:
    """
    One session with a server. No transport, no clock: whoever owns it moves octets and takes events.

    With PIPELINING a transaction goes out in one piece, right behind the final dot of the one before.
    Content goes out as it is fed, but for what the channel asks for, and 8-bit content where 8BITMIME is not
    offered (:class:`jobctl.smtp.client_shaping.Shaping`).
    """

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self._talk = Talk(config)
        self._reader = ReplyReader()

    @property
    def banner(self) -> str:
        """What the peer said after 220, ``""`` so far."""
        return self._talk.opening.banner

    @property
    def extensions(self) -> dict[str, str]:
        """What the peer offers: keyword in upper case to parameters; empty after HELO."""
        return self._talk.opening.extensions

    @property
    def can_begin(self) -> bool:
        """A transaction may begin now."""
        talk = self._talk
        if talk.phase is not Phase.READY:
            return False
        return not talk.open or (talk.pipelining and len(talk.open) == 1 and talk.open[0].ended)

    @property
    def idle(self) -> bool:
        """Greeted, and nothing is open."""
        return self._talk.phase is Phase.READY and not self._talk.open

    @property
    def user(self) -> str:
        """Whom the peer takes us for, ``""`` for nobody."""
        return self._talk.opening.user

    @property
    def modifiers(self) -> str:
        """Letters for the log (:func:`jobctl.mail.modifiers.modifiers`), once greeted; C is never among them."""
        opening = self._talk.opening
        return modifiers(
            esmtp=bool(opening.extensions),
            lmtp=self.config.lmtp,
            tls=opening.secure,
            user=bool(opening.user),
        )

    def secured(self, binding: tuple[str, bytes] | None = None) -> None:
        """
        The session is encrypted from here on: after :class:`StartTls`, or before the banner.

        :param binding: Kind and data of the channel, for SCRAM (RFC 9266).
        """
        talk = self._talk
        if talk.phase is Phase.GREETING:
            said = talk.opening.secured(binding)
            if said:
                talk.put(said)

    def tls_failed(self, why: str) -> None:
        """The handshake did not come about, or the peer is not who ``verify`` wants."""
        talk = self._talk
        if talk.phase is Phase.GREETING:
            talk.phase = Phase.CLOSED
            talk.events.append(talk.opening.tls_failed(why))

    def receive(self, data: bytes) -> None:
        """Take octets from the peer; then take events and output."""
        talk, reader = self._talk, self._reader
        if talk.phase is not Phase.CLOSED:
            reader.add(data)
        try:
            # The phase anew after every reply, for each may end the session.
            while talk.phase is not Phase.CLOSED:
                reply = reader.next()
                if reply is None:
                    return
                if reply.code == 421:
                    closing(talk, reply)
                elif talk.output and talk.unheard():
                    # Nor would the replies behind it be to what they seem to be: a 250 for a message that was refused.
                    raise ProtocolViolation(f"{reply.code} came before what it would be a reply to was said")
                elif talk.phase is Phase.GREETING:
                    self._open_session(reply)
                else:
                    replied(talk, reply)
        except ProtocolViolation as why:
            talk.over("4.5.0", f"protocol violation by the next hop: {why}")

    def lost(self, why: str) -> None:
        """The connection is gone."""
        self._talk.over("4.4.2", why, dropped=True)

    def timed_out(self, unsent: int = 0) -> None:
        """
        The peer did not answer for :meth:`timeout` seconds, or did not take anything.

        :param unsent: Octets of the output that have not left.
        """
        talk = self._talk
        if unsent:
            talk.over("4.4.2", f"timeout sending {first_unsent(talk, unsent).words}")
            return
        if talk.phase is Phase.GREETING:
            waiting = talk.opening.step.words
        else:
            waiting = talk.expected[0][0].words if talk.expected else "the connection"
        talk.over("4.4.2", f"timeout waiting for {waiting}")

    def take_output(self) -> bytes:
        """Take what is to be written."""
        talk = self._talk
        output = talk.output
        if len(output) == 1:
            return output.pop()
        talk.output = []
        return b"".join(output)

    def next_event(self) -> Event | None:
        """What has happened, in order; ``None`` when all is told."""
        events = self._talk.events
        return events.popleft() if events else None

    def doing(self, id: str = "") -> str:
        """What is waited for, in one word, for who watches: with a transaction, or on the whole."""
        talk = self._talk
        if talk.phase is Phase.GREETING:
            return talk.opening.step.name.lower()
        if id and talk.sending is not None and talk.sending.id == id:
            return "content"
        meant = (one for one in talk.expected if not id or (one[1] is not None and one[1].id == id))
        step = next(meant, None)
        if step is None:
            return "waiting" if id else "idle"
        return "content" if step[0] is Step.CHUNK else step[0].name.lower()

    def timeout(self, unsent: int = 0) -> float | None:
        """
        Seconds the current wait may last: for a reply, or for the peer to take what is said; ``None``: for neither.

        :param unsent: Octets of the output that have not left.
        """
        talk = self._talk
        if unsent:
            return talk.options.seconds(first_unsent(talk, unsent).option)
        if talk.phase is Phase.GREETING:
            return reply_seconds(talk.opening.step, talk.options, 0, 0)
        if not talk.expected:
            return None
        step, transaction, _, _ = talk.expected[0]
        if transaction is None:
            return reply_seconds(step, talk.options, 0, 0)
        return reply_seconds(step, talk.options, len(transaction.accepted), transaction.octets)

    def begin(
        self,
        id: str,
        envelope: Envelope,
        octets: int,
        left: float | None = None,
        whole: bytes | None = None,
    ) -> None:
        """
        Begin a transaction; allowed while :attr:`can_begin`.

        :param octets: Size of the content.
        :param left: Seconds to the message's deadline, if it has one.
        :param whole: The content, if all of it is at hand; it is fed nevertheless.
        """
        if not self.can_begin:
            raise ValueError("no transaction can begin now")
        talk = self._talk
        transaction = Transaction(id, envelope, octets, first=talk.begun == 0)
        transaction.anyway = "utf8header" in talk.channel.keywords
        transaction.authenticated = bool(talk.opening.user)
        if envelope.by is not None:
            transaction.timing = Timing(envelope.by, left, talk.opening.extensions, talk.lmtp)
        if talk.shaping is not None:
            _shape(transaction, talk.shaping, whole)
        # What may turn out not to be sendable goes after DATA, alone: giving it up then costs no other message.
        settled = transaction.shape is None or (whole is not None and octets <= CHUNK)
        chunked = talk.chunking and settled
        transaction.large = chunked and octets > CHUNK
        if transaction.waiting():
            transaction.prepare(talk.opening.extensions, chunked)
        if not transaction.to_send:
            verdicts = tuple(verdict for verdict in transaction.verdicts if verdict is not None)
            talk.events.append(Done(id, verdicts, unsaid=True))
            return
        talk.begun += 1
        if talk.most is not None and talk.begun >= talk.most:
            talk.phase = Phase.ENDING
        if talk.open and talk.open[0].chunked:
            # Should its content be refused, nobody knows in what state the peer is (RFC 3030 section 2).
            talk.say(b"RSET\r\n", Step.RSET)
        talk.open.append(transaction)
        if talk.pipelining:
            talk.say_all(transaction)
            if transaction.chunked and not transaction.large:
                # All of it in one write: the message costs one round trip, shared with the next.
                talk.want_content(transaction)
        else:
            transaction.to_send.reverse()
            talk.send_next(transaction)

    @property
    def wants_content(self) -> bool:
        """More may be fed: what goes out in chunks does not run far ahead of the replies."""
        talk = self._talk
        return talk.sending is None or not talk.sending.large or len(talk.expected) < MOST_CHUNKS

    def feed(self, data: bytes) -> None:
        """Send content after :class:`NeedContent`; ignored when the transaction is over already."""
        talk = self._talk
        if talk.sending is None:
            return
        try:
            ready = talk.content.feed(data)
        except Unsendable as why:
            talk.give_up(why)
            return
        if ready:
            if talk.sending.large:
                talk.say(ready, Step.CHUNK, talk.sending)
            else:
                talk.put(ready)

    def finish(self) -> None:
        """The content is complete."""
        talk = self._talk
        transaction = talk.sending
        if transaction is None:
            return
        try:
            end = talk.content.finish()
        except Unsendable as why:
            talk.give_up(why)
            return
        talk.sending = None
        transaction.ended = True
        for number in transaction.accepted if talk.lmtp else (-1,):
            talk.say(end, Step.DOT, transaction, number)
            end = b""

    def quit(self) -> None:
        """End the session after what is open."""
        talk = self._talk
        if talk.phase is Phase.GREETING:
            talk.put(b"QUIT\r\n")
            talk.close()
        elif talk.phase is not Phase.CLOSED and talk.phase is not Phase.ENDING:
            talk.phase = Phase.ENDING
            talk.quit_when_empty()

    def _open_session(self, reply: Reply) -> None:
        talk = self._talk
        opening = talk.opening
        said = opening.replied(reply)
        if said:
            talk.put(said)
        if opening.failure is not None:
            talk.phase = Phase.CLOSED
            talk.events.append(opening.failure)
        elif opening.step is Step.TLS:
            if not self._reader.empty:
                # Whoever put that in wants it to be taken for something said under TLS (CVE-2011-0411).
                raise ProtocolViolation("more than one reply to STARTTLS")
            talk.events.append(StartTls())
        elif opening.done:
            talk.opened()
            talk.events.append(Ready())
            talk.call_for_mail()


def _shape(transaction: Transaction, shaping: Shaping, whole: bytes | None) -> None:
    """Decide what is done to the content; where it cannot be sent, everybody has a verdict afterwards."""
    transaction.shape = shaping.of(transaction.envelope, whole)
    if shaping.eight:
        transaction.body = None
    if transaction.shape is not None and whole is not None:
        try:
            transaction.shape_all(whole)
        except Unsendable as why:
            transaction.fail_all(why.status, str(why))


__all__ = [
    "ClientConfig",
    "ClientDialogue",
    "Closed",
    "Done",
    "Event",
    "NeedContent",
    "Ready",
    "SessionFailed",
]
