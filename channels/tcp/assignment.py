"""A message in hand: what the controller gave, until a report gives it back."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from jobctl.jobprotocol.frames import Message, Report
from jobctl.mail.disposition import Verdict
from jobctl.mail.envelope import Envelope

if TYPE_CHECKING:
    from channels.tcp.connection import Connection

# A message whose connections keep going away before anybody answers is given back then.
MAX_RESTARTS = 3


class Assignment:
    """
    One message and the content that has come so far.

    :ivar pieces: Content that has not been fed to a dialogue yet.
    :ivar more: More pieces follow, if asked for.
    :ivar spent: Some of its content is gone, and cannot be sent again.
    :ivar dotted: Its final dot may have gone out.
    :ivar carrier: The connection that has it in transaction.
    :ivar fed: Octets given to a dialogue so far.
    :ivar restarts: How often its transaction had to begin again.
    :ivar unfit: Names of exchangers that do not offer what it needs.
    """

    __slots__ = (
        "attempt",
        "carrier",
        "dotted",
        "envelope",
        "fed",
        "gateway",
        "host",
        "id",
        "more",
        "octets",
        "pieces",
        "restarts",
        "share",
        "spent",
        "unfit",
    )

    def __init__(self, frame: Message, content: bytes) -> None:
        self.id = frame.id
        self.attempt = frame.attempt
        self.share = frame.share
        self.host = frame.host
        self.gateway = frame.gateway
        self.envelope: Envelope = frame.envelope or Envelope(sender="", recipients=())
        self.octets = frame.octets
        self.more = frame.more
        self.pieces = deque((content,))
        self.restarts = 0
        self.carrier: Connection | None = None
        self.spent = False
        self.dotted = False
        self.fed = 0
        self.unfit: frozenset[str] = frozenset()

    @property
    def whole(self) -> bytes | None:
        """All of its content, if it is here."""
        return self.pieces[0] if len(self.pieces) == 1 and not (self.more or self.spent) else None

    def may_restart(self) -> bool:
        """Whether its content can still be sent from the beginning, and it has not come round too often."""
        return not self.spent and self.restarts < MAX_RESTARTS

    def given_back(
        self,
        scope: str,
        status: str,
        reply: str,
        verdict: Verdict = Verdict.DEFERRED,
        retry: float | None = None,
    ) -> Report:
        """The report for all its recipients, of a message that no host has answered."""
        return Report(id=self.id, verdict=verdict, status=status, reply=reply, scope=scope, retry=retry)
