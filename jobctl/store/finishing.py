"""What is kept of recipients that leave: the writer's part."""

import sqlite3

from jobctl.mail.entry import Loss, Settlement
from jobctl.mail.envelope import Recipient
from jobctl.store.records import Row, microseconds


class Finishing:
    """
    Makes the rows of ``finished``.

    They are numbered by time; the clock may step, the numbers only grow.

    :ivar retention: Seconds for which they are remembered; 0: they are not.
    :ivar outdated: Microseconds: what is older is forgotten.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        last: int | None = connection.execute("SELECT max(at) FROM finished").fetchone()[0]
        self._last = last or 0
        self._now = self.outdated = 0
        self.retention = 0.0

    def begin(self, now: float, retention: float) -> None:
        """A new batch; ``now`` in epoch seconds."""
        self._now = microseconds(now)
        self.retention = retention
        self.outdated = self._now - microseconds(retention)

    def records(
        self,
        row: Row,
        settlement: Settlement,
        lost: list[tuple[Recipient, Loss]],
        left: tuple[Recipient, ...],
    ) -> list[bytes]:
        """Of those that a settlement takes out of an entry; those that others stand in for have moved."""
        if not self.retention:
            return []
        if settlement.recipients is not None:
            lost = lost + [(one, Loss.MOVED) for one in left if one not in settlement.recipients]
        said = settlement.said
        words = {d.recipient: d for d in said} if len(said) > 1 else {}
        found = []
        for recipient, loss in lost:
            one = words.get(recipient.address)
            if one is None and len(said) == 1 and said[0].recipient == recipient.address:
                one = said[0]
            reply, remote = (one.reply, one.remote) if one is not None else (settlement.reason or "", "")
            self._last = max(self._last + 1, self._now)
            found.append(row.finished(self._last, recipient.address, loss, reply, remote))
        return found
