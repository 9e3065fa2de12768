"""
A session with a next hop that shows what would happen, and sends no content.

It blocks, and is for a person who waits: commands use it, the daemon never does.
"""

import contextlib
import socket
from collections.abc import Callable

from jobctl.config.settings import ChannelSettings
from jobctl.config.towards import Towards
from jobctl.errors import ProtocolViolation, TlsFailed
from jobctl.mail.disposition import Disposition
from jobctl.mail.reply import Reply
from jobctl.net.credentials import read_credentials
from jobctl.net.resolver import NextHop
from jobctl.net.sources import Sources
from jobctl.net.tls_client import ClientTls, ClientTlsSession
from jobctl.smtp.client import ClientDialogue
from jobctl.smtp.client_config import ClientConfig
from jobctl.smtp.client_transaction import Transaction
from jobctl.smtp.events import Ready, SessionFailed, StartTls
from jobctl.smtp.reply_reader import ReplyReader

# Seconds for a connection, and for each reply.
_PATIENCE = 30.0
_READ = 64 * 1024


class ProbeFailed(Exception):
    """
    This next hop would not do; the text says why.

    :ivar permanent: It refuses to serve us, so that mail would be returned.
    """

    permanent = False


class HungUp(ProbeFailed):
    """It hung up on EHLO; with HELO it may do."""


class HandshakeFailed(ProbeFailed):
    """TLS did not come about; in the clear it may do."""


class Probe:
    """
    :param security: What counts towards the destination.
    :param tell: Gets each step as a line.
    :raises ProbeFailed: No session comes about.
    :ivar tls: The TLS session, ``None`` in the clear; ``problem``: why its peer is not proved to be who it should be.
    """

    def __init__(
        self,
        channel: ChannelSettings,
        security: Towards,
        hop: NextHop,
        tell: Callable[[str], None],
        helo_only: bool = False,
    ) -> None:
        self._channel = channel
        self._security = security
        self._hop = hop
        self._tell = tell
        self.tls: ClientTlsSession | None = None
        sources = Sources(channel)
        source = sources.towards(hop.address)
        try:
            self._socket = socket.create_connection(
                (hop.address, hop.port), _PATIENCE, None if source is None else (source, 0)
            )
        except OSError as why:
            raise ProbeFailed(
                f"connect to {hop.name} [{hop.address}]:{hop.port}: {why.strerror or why}"
            ) from None
        tell(f"connected to {hop.name} [{hop.address}]:{hop.port}{f' from {source}' if source else ''}")
        self._reader = ReplyReader()
        self.dialogue = self._greet(sources.helo.get(source or "", channel.local_host), helo_only)

    def close(self) -> None:
        """Say goodbye and hang up."""
        with contextlib.suppress(OSError, ProbeFailed, ProtocolViolation, TlsFailed):
            self._send(b"QUIT\r\n")
            self._reply()
        self._socket.close()

    def refused_before(self, transaction: Transaction) -> Disposition | None:
        """What becomes of the recipient because of what this peer offers; ``None``: it is asked."""
        transaction.authenticated = bool(self.dialogue.user)
        transaction.anyway = "utf8header" in self._channel.keywords
        transaction.prepare(self.dialogue.extensions)
        return transaction.verdicts[0] if not transaction.to_send else None

    def ask(self, command: str) -> Reply:
        """
        One command and its reply.

        :raises ProbeFailed: The session is over.
        """
        self._tell(f"> {command}")
        self._send(command.encode() + b"\r\n")
        reply = self._reply()
        self._tell(f"< {reply}".replace("\n", "\n  < "))
        return reply

    @property
    def problem(self) -> str:
        """Why the peer is not proved to be who it should be, ``""`` when it is, or in the clear."""
        return self.tls.problem if self.tls is not None else ""

    def _greet(self, helo: str, helo_only: bool) -> ClientDialogue:
        channel = self._channel
        try:
            credentials = read_credentials(channel)
        except ValueError as why:
            raise ProbeFailed(str(why)) from None
        dialogue = ClientDialogue(
            ClientConfig(
                helo=helo,
                channel=channel,
                lmtp=channel.lmtp,
                helo_only=helo_only,
                tls="none" if channel.implicit_tls else self._security.policy,
                credentials=credentials,
                must_auth=channel.sasl_client == "must",
            )
        )
        if channel.implicit_tls:
            self._shake(dialogue)
        while True:
            while (event := dialogue.next_event()) is not None:
                if isinstance(event, Ready):
                    self._tell_greeting(dialogue)
                    return dialogue
                if isinstance(event, SessionFailed):
                    kind = HungUp if event.retry_with_helo else ProbeFailed
                    failed = kind(f"{event.reply} ({event.status})")
                    failed.permanent = event.permanent
                    raise failed
                if isinstance(event, StartTls):
                    self._shake(dialogue)
            if out := dialogue.take_output():
                self._send(out)
            data = self._receive()
            if not data:
                dialogue.lost("the peer closed the connection")
            else:
                dialogue.receive(data)

    def _tell_greeting(self, dialogue: ClientDialogue) -> None:
        self._tell(f"banner: {dialogue.banner}")
        offers = " ".join(f"{name}={value}".rstrip("=") for name, value in dialogue.extensions.items())
        self._tell(f"offers: {offers or '(nothing)'}")
        if dialogue.user:
            self._tell(f"authenticated as {dialogue.user}")

    def _shake(self, dialogue: ClientDialogue) -> None:
        hop, security = self._hop, self._security
        name = security.server_name or hop.name
        try:
            tls = self.tls = ClientTls(security.ca_file).session(name, ())
            tls.begin()
            while not tls.established:
                self._socket.sendall(tls.take_output())
                data = self._socket.recv(_READ)
                if not data:
                    raise TlsFailed("the peer closed the connection in the handshake")
                tls.receive(data)
            self._socket.sendall(tls.take_output())
        except (ValueError, TlsFailed, OSError) as why:
            raise HandshakeFailed(f"TLS with {hop.name}: {why}") from None
        proved = tls.problem or f"its certificate proves {name.strip('[]')}"
        self._tell(f"TLS: {tls.info}; {proved}")
        if tls.problem and self._security.policy == "verify":
            raise ProbeFailed(f"tls_policy verify: {hop.name}: {tls.problem}")
        dialogue.secured(tls.binding)

    def _send(self, data: bytes) -> None:
        try:
            if self.tls is not None:
                self.tls.send(data)
                data = self.tls.take_output()
            self._socket.sendall(data)
        except (OSError, TlsFailed) as why:
            raise ProbeFailed(f"connection lost: {why}") from None

    def _receive(self) -> bytes:
        """Octets of the peer, ``b""`` at the end."""
        try:
            while data := self._socket.recv(_READ):
                if self.tls is None:
                    return data
                plain = self.tls.receive(data)
                self._socket.sendall(self.tls.take_output())
                if plain or self.tls.ended:
                    return plain
        except (OSError, TlsFailed) as why:
            raise ProbeFailed(f"connection lost: {why}") from None
        return b""

    def _reply(self) -> Reply:
        try:
            while (reply := self._reader.next()) is None:
                data = self._receive()
                if not data:
                    raise ProbeFailed("the peer closed the connection")
                self._reader.add(data)
        except ProtocolViolation as why:
            raise ProbeFailed(f"no SMTP: {why}") from None
        return reply
