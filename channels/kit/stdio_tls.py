"""TLS of a program whose standard input and output are a connection to a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from channels.kit.client_security import DestinationSecurity
from channels.kit.stdio import Stdio
from jobctl.smtp.client import ClientDialogue

if TYPE_CHECKING:
    from channels.kit.debug import Transcript


class StdioTls:
    """
    :param remote: Whom the pipe leads to, as far as we know: the name that a certificate has to prove.
    :ivar policy: ``none``, ``may``, ``must`` or ``verify``.
    :ivar transcript: Who gets a note of the handshake.
    """

    def __init__(self, stdio: Stdio, security: DestinationSecurity, remote: str) -> None:
        self._stdio = stdio
        self._security = security
        self._remote = remote
        self.policy = security.policy
        self.transcript: Transcript | None = None

    def start(self, dialogue: ClientDialogue, over: Callable[[str], None]) -> None:
        """
        Encrypt, and tell the dialogue how that went.

        :param over: Called after that with ``""``; with the reason when the handshake or a later record is bad.
        """
        session = self._security.session(self._remote, "", 0)

        def secured() -> None:
            self._security.judge(session, dialogue, self._remote, self.transcript)
            over("")

        def failed(why: str) -> None:
            if not session.established:
                dialogue.tls_failed(why)
            over(why)

        self._stdio.start_tls(session, secured, failed)
