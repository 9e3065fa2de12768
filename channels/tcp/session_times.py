"""What ends a session of the SMTP server that lasts too long, by the times of its channel's options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobctl.net.proxy_header import PATIENCE

if TYPE_CHECKING:
    from channels.tcp.session import Session


class SessionTimes:
    """Looked at each sweep; times are those of the server's clock."""

    __slots__ = ("_session", "_unsent_since")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._unsent_since: float | None = None

    def look(self, now: float) -> None:
        """End what has lasted too long."""
        session, server = self._session, self._session.server
        dialogue = session.dialogue
        if session.closing_since is not None:
            if now - session.closing_since > server.longest_close:
                session.stream.abort()
        elif self._stuck(now):
            dialogue.lost("it does not read our replies")
            session.stream.abort()
        elif not dialogue.waiting and now - session.touched > dialogue.timeout():
            if session.submission is None:
                server.tell_aborted(session, "timeout")
            dialogue.timed_out()
            session.flush()
        elif session.front is not None and now - session.opened > PATIENCE:
            session.front.give_up()
        elif server.session_time is not None and now - session.opened > server.session_time:
            session.end(dialogue.too_old)

    def _stuck(self, now: float) -> bool:
        """Whether a reply has been on its way for longer than STATUS_TRANSMIT_TIME."""
        if not self._session.stream.unsent:
            self._unsent_since = None
        elif self._unsent_since is None:
            self._unsent_since = now
        return self._unsent_since is not None and now - self._unsent_since > self._session.server.reply_time
