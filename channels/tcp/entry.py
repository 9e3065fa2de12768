"""Which sessions of the SMTP server go on: by PORT_ACCESS, and by how many connections their client has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from channels.kit.events import refused_port
from jobctl.mail.reply import Reply
from jobctl.mapping.access import Permission
from jobctl.smtp.replies import encode

if TYPE_CHECKING:
    from channels.tcp.session import Session


def admits(session: Session) -> bool:
    """Whether its client may have one connection more; it is told when not."""
    if _counts(session):
        return True
    _turn_away(session, _crowded(session))
    return False


def may_connect(session: Session) -> Permission:
    """What PORT_ACCESS says of a connection; who may not is told and closed."""
    permission = _permission(session)
    if permission.refusal is not None:
        # It was there, by the channel of the service.
        session.server.opened(session)
        session.server.link.send(refused_port(permission, session.transport))
        _turn_away(session, permission.refusal)
    return permission


def readmits(session: Session) -> Reply | None:
    """By XCLIENT a session is another client's: why that one may not connect, if it may not."""
    session.server.admission.counts.forget(session.counted)
    session.counted = ""
    permission = _permission(session)
    if permission.refusal is not None:
        session.server.link.send(refused_port(permission, session.transport))
        return permission.refusal
    return None if _counts(session) else _crowded(session)


def _permission(session: Session) -> Permission:
    permission = session.server.admission.port(session.transport)
    session.site = permission.site
    session.dialogue.permit_private(permission.private)
    return permission


def _counts(session: Session) -> bool:
    """Whether it is not one connection too many of its client; who may say XCLIENT has any number."""
    admission = session.server.admission
    session.counted = "" if session.client in admission.impersonators else session.client
    if admission.counts.count(session.counted):
        return True
    session.server.reject(session, "too many connections from this address")
    return False


def _crowded(session: Session) -> Reply:
    name = session.server.start.asking.name
    return Reply(421, f"4.7.0 {name} too many connections from your address, try again later.")


def _turn_away(session: Session, reply: Reply) -> None:
    # Whoever waits for a handshake cannot read it.
    if not session.server.security.implicit:
        session.stream.write(encode(reply))
    session.stream.close()
