"""Front ends of the SMTP server: for whom they say they speak, by a PROXY header or by XCLIENT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from channels.kit.xclient import impersonated
from channels.tcp.entry import readmits
from jobctl.mail.reply import Reply
from jobctl.mail.transportinfo import TransportInfo
from jobctl.net.proxy_header import HeaderReader

if TYPE_CHECKING:
    from channels.tcp.session import Session


class FrontEnd:
    """The PROXY header that comes before everything else on a connection of a front end."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._header = HeaderReader(TransportInfo.parse(session.transport)[0])

    def take(self, data: bytes) -> None:
        """The header as far as it has come, and what follows it; the session hears of it once, whole."""
        try:
            found = self._header.take(data)
        except ValueError as why:
            self._refuse(str(why))
            return
        if found is None:
            return
        told, rest = found
        self._session.become(told)
        self._session.introduced(rest)

    def give_up(self) -> None:
        """It has not come in time."""
        self._refuse("no PROXY header")

    def _refuse(self, why: str) -> None:
        self._session.server.reject(self._session, why)
        self._session.stream.abort()


def claim(session: Session, said: Mapping[str, str]) -> None:
    """XCLIENT: the session is that of another client from now on, if that one may connect; else it is told why not."""
    told = impersonated(TransportInfo.parse(session.transport)[0], said)
    if isinstance(told, Reply):
        session.dialogue.answer(told)
        return
    session.become(told)
    if (refusal := readmits(session)) is not None:
        session.dialogue.answer(refusal)
        session.dialogue.lost(f"PORT_ACCESS: {refusal}")
        return
    user = said.get("LOGIN")
    session.locate(lambda later: _believe(session, user, later))


def _believe(session: Session, user: str | None, later: bool) -> None:
    """What was said of the client counts, once its channel is known."""
    view = session.came_by = session.view
    if user is not None:
        view = session.view_of(session.server.sources.authenticated(view.channel))
    session.switch(view)
    session.dialogue.answer(Reply(220))
    # Once more: now the dialogue knows the user.
    session.switch(view)
    if later:
        session.go_on()
