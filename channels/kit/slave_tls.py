"""TLS of a program whose standard input and output are a connection from a client."""

from __future__ import annotations

from collections.abc import Callable

from channels.kit.slave_security import SlaveSecurity
from channels.kit.stdio import Stdio
from jobctl.smtp.server import ServerDialogue


class SlaveTls:
    """From the first octet or after STARTTLS; one session at a time."""

    def __init__(self, stdio: Stdio, security: SlaveSecurity) -> None:
        self._stdio = stdio
        self._security = security

    @property
    def shaking(self) -> bool:
        """The handshake has begun and is not over."""
        session = self._stdio.tls
        return session is not None and not session.established

    def start(
        self,
        dialogue: ServerDialogue,
        secured: Callable[[str, str | None], None],
        lost: Callable[[str], None],
    ) -> None:
        """
        Encrypt what follows what the dialogue has said, and tell it how that went.

        :param secured: Called after that with protocol and cipher, and the user whom the client's certificate
            proves it to be.
        :param lost: Called with the reason when the handshake or a later record is bad.
        """
        output = dialogue.take_output()
        if output:
            self._stdio.write(output)
        session = self._security.session()

        def over() -> None:
            user = self._security.user_of(session)
            dialogue.secured(session.info, session.binding, user)
            secured(session.info, user)

        self._stdio.start_tls(session, over, lost)
