"""Domains of senders, looked up while the client waits (``mailfromdnsverify``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import ensureDeferred
from twisted.python.failure import Failure

from channels.kit.log_stream import say
from jobctl.mail.reply import Reply
from jobctl.net.resolver import Resolver
from jobctl.net.sender_domain import LATER, sender_reply

if TYPE_CHECKING:
    from channels.tcp.session import Session


class SenderDomains:
    """
    :param blocked: As of :func:`jobctl.net.sender_domain.sender_reply`.
    """

    def __init__(self, resolver: Resolver, blocked: tuple[str, ...]) -> None:
        self._resolver = resolver
        self._blocked = blocked

    def check(self, session: Session, sender: str) -> None:
        """Answer the session's question about a sender, now or when the name service has spoken."""
        at_once = True

        def answered(reply: Reply) -> None:
            if at_once:
                # The session is asking just now: it goes on by itself.
                session.dialogue.answer(reply)
            else:
                session.answer(reply)

        def failed(why: Failure) -> None:
            say(f"internal error: {why.getErrorMessage()} while the domain of {sender} was looked up")
            answered(LATER)

        done = ensureDeferred(sender_reply(self._resolver, sender, self._blocked))
        done.addCallbacks(answered, failed)
        at_once = False
