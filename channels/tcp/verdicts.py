"""What the controller is asked: whether recipients may come in, a yes being believed for a while; VRFY and its kin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from channels.kit.queries import query
from jobctl.jobprotocol.frames import Route, VerdictFrame
from jobctl.mail.envelope import Recipient, Source
from jobctl.mail.reply import Reply
from jobctl.net.dns_cache import DnsCache
from jobctl.smtp.questions import Expand, Private, RunQueue, Verify

if TYPE_CHECKING:
    from channels.tcp.process import Process
    from channels.tcp.session import Session

# A recipient that was welcome a moment ago still is.
_LIFETIME = 5.0

# Source channel, client, user, kind of submission, sender, recipient, ORCPT.
_Key = tuple[str, str, str, str, str, str, str]


class Verdicts:
    """What the sessions of a server job ask about recipients."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._known: DnsCache[Reply] = DnsCache(10_000)
        # The last is what a yes is remembered by, ``None``: it is not.
        self._asked: dict[str, tuple[Session, _Key | None]] = {}
        self._count = 0

    def ask(self, session: Session, recipient: Recipient, sender: str, source: Source, now: float) -> None:
        """May this recipient come in?  The session is answered now or when the controller has spoken."""
        address, orcpt = recipient.address, recipient.orcpt or ""
        user = session.dialogue.user or ""
        key = (source.channel, session.client, user, source.submit_type, sender, address, orcpt)
        known = self._known.get(key, now)
        if known is not None:
            session.dialogue.answer(known)
            return
        id = self._id(session, key)
        self._process.link.send(Route(id=id, recipient=address, sender=sender, source=source, orcpt=orcpt))

    def query(self, session: Session, question: Verify | Expand | RunQueue | Private, source: Source) -> None:
        """VRFY, EXPN, ETRN or a private command: the session is answered when the controller has spoken."""
        self._process.link.send(query(self._id(session, None), question, source))

    def _id(self, session: Session, key: _Key | None) -> str:
        self._count += 1
        id = str(self._count)
        self._asked[id] = (session, key)
        return id

    def heard(self, frame: VerdictFrame, now: float) -> None:
        """The controller has spoken."""
        session, key = self._asked.pop(frame.id, (None, None))
        if session is None:
            return
        reply = Reply(frame.code, f"{frame.status} {frame.text}".strip())
        if frame.code == 250 and key is not None:
            # Only a yes is kept: whoever was refused may be welcome after the next change.
            self._known.put(key, reply, now, _LIFETIME)
        session.answer(reply)

    def give_up(self) -> list[Session]:
        """The controller is gone: who waits for it."""
        waiting = [session for session, _ in self._asked.values()]
        self._asked.clear()
        return waiting
