"""Next hops that answered and would not open a session: the others of the host come before them for a while."""

import math
from collections import OrderedDict
from typing import Any

from jobctl.net.resolver import NextHop

# Seconds for which it is remembered: after that the exchanger that is preferred is tried first again.
REMEMBERED = 3600.0
MOST_REMEMBERED = 10_000

Key = tuple[str, str, str]


class Unwilling:
    """
    A program on a pipe has one connection and cannot go on to the next exchanger itself (RFC 5321 section 5.1): the
    next one that is started for the host does.

    :param clock: IReactorTime.
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        # By channel, host and address; the latest last.
        self._since: OrderedDict[Key, float] = OrderedDict()

    def note(self, channel: str, host: str, transport: str) -> None:
        """
        Nobody was served.

        :param transport: ``TCP|...`` of the connection, as the program says; anything else is ignored.
        """
        fields = transport.split("|")
        if len(fields) != 5:
            return
        key = (channel, host, fields[3])
        self._since.pop(key, None)
        self._since[key] = self._clock.seconds()
        if len(self._since) > MOST_REMEMBERED:
            self._since.popitem(last=False)

    def last(self, channel: str, host: str, hops: list[NextHop]) -> list[NextHop]:
        """In the order to try them: who was not willing comes last, the latest behind the others."""
        if not self._since:
            return hops
        begin = self._clock.seconds() - REMEMBERED

        def since(hop: NextHop) -> float:
            noted = self._since.get((channel, host, hop.address), begin)
            return noted if noted > begin else -math.inf

        return sorted(hops, key=since)
