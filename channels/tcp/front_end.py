"""Front ends of the SMTP server: for whom they say they speak, by a PROXY header or by XCLIENT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from jobctl.mail.reply import Reply
from jobctl.mail.transportinfo import is_address
from jobctl.net.proxy_header import read_header

if TYPE_CHECKING:
    from channels.tcp.session import Session

# Seconds that a front end may take to say whose connection it is.
PATIENCE = 10.0


class FrontEnd:
    """The PROXY header that comes before everything else on a connection of a front end."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._header = b""

    def take(self, data: bytes) -> None:
        """The header as far as it has come, and what follows it; the session hears of it once, whole."""
        session = self._session
        self._header += data
        try:
            found = read_header(self._header)
        except ValueError as why:
            self._refuse(str(why))
            return
        if found is None:
            return
        said, taken = found
        if said.client:
            session.become(said.client, str(said.client_port), said.server, str(said.server_port))
        session.introduced(self._header[taken:])

    def give_up(self) -> None:
        """It has not come in time."""
        self._refuse("no PROXY header")

    def _refuse(self, why: str) -> None:
        self._session.server.reject(self._session, why)
        self._session.stream.abort()


def claim(session: Session, said: Mapping[str, str]) -> bool:
    """
    XCLIENT: the session is that of another client from now on.

    :return: Whether it is; else the dialogue has its answer.
    """
    address = said.get("ADDR", "").removeprefix("IPV6:")
    if address and not is_address(address):
        session.dialogue.answer(Reply(501, "5.5.4 ADDR takes an address."))
        return False
    session.become(
        address or session.client,
        said.get("PORT", ""),
        said.get("DESTADDR", "").removeprefix("IPV6:"),
        said.get("DESTPORT", ""),
    )
    return True
