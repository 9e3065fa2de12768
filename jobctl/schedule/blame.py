"""Which messages may have killed the program that held them."""

from __future__ import annotations

# Deaths with others after which a message is tried alone: one may be anybody's, or nobody's (a process that
# was killed from outside); what was there both times is worth a look.
SUSPICIOUS = 2
# Entries that are remembered; more would be a machine without memory, not a message.
MOST = 10_000


class Blame:
    """
    Finds the message that kills programs among those that are in the same hands.

    A program that held one message died of it.  When it held several nobody
    knows; those that were there at :data:`SUSPICIOUS` deaths are tried alone
    (:class:`jobctl.schedule.handout.HandOut`), so the next death tells.  A verdict on a
    message ends the suspicion.

    :ivar deaths: Entry id to deaths that it was there at and no verdict since.
    """

    def __init__(self) -> None:
        self.deaths: dict[str, int] = {}

    def died(self, ids: list[str]) -> bool:
        """
        A program died, neither told to stop nor on purpose.

        :param ids: What it may have been working on.
        :return: Whether it is known what killed it: the only one.
        """
        alone = len(ids) == 1
        for id in ids:
            self.deaths[id] = SUSPICIOUS if alone else self.deaths.pop(id, 0) + 1
        while len(self.deaths) > MOST:
            del self.deaths[next(iter(self.deaths))]
        return alone

    def suspects(self, id: str) -> bool:
        """Whether it is to be tried alone."""
        return self.deaths.get(id, 0) >= SUSPICIOUS

    def acquit(self, id: str) -> None:
        """It has had a verdict, or is gone."""
        self.deaths.pop(id, None)
