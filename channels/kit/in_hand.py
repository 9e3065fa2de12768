"""Messages that a program on a pipe was given and has not begun."""

from collections import deque

from channels.kit.link import Assignment, JobLink
from jobctl.config.settings import ChannelSettings
from jobctl.jobprotocol.frames import Report
from jobctl.mail.disposition import Verdict

# Messages in hand: enough that the next is here when one is done.
_MOST = 16


class InHand:
    """
    For one host, because the pipe leads to one; with a gateway for any.

    :param host: The host of this run; ``None``: the first message tells.
    :ivar waiting: In order of arrival.
    :ivar left: How many may still be begun, ``None``: any number.
    """

    def __init__(self, link: JobLink, channel: ChannelSettings, host: str | None) -> None:
        self._link = link
        self._any_host = channel.gateway is not None
        self.host = host
        self.left = channel.options.attempt_transactions_per_session
        self.waiting: deque[Assignment] = deque()
        self._credit = 0

    @property
    def expected(self) -> bool:
        """A message was asked for and may be on its way here."""
        return self._credit > 0

    def ask(self, count: int) -> None:
        """Ask for messages, as far as they can be begun."""
        if self.left is not None:
            count = min(count, self.left - self._credit - len(self.waiting))
        if count > 0 and not self._link.stopping:
            self._credit += count
            self._link.ask(count)

    def fill(self, begun: int) -> None:
        """Ask for as many as there is room for, not one by one; ``begun`` are under way."""
        free = _MOST - self._credit - len(self.waiting) - begun
        if free >= _MOST // 2:
            self.ask(free)

    def came(self, assignment: Assignment) -> None:
        """The controller gave one that was asked for."""
        self._credit -= 1
        self.waiting.append(assignment)

    def take(self) -> Assignment | None:
        """The next to begin; whatever is for another host is given back."""
        while self.waiting:
            assignment = self.waiting.popleft()
            host = assignment.message.host
            if not self._any_host and self.host is None:
                self.host = host
            if self._any_host or host == self.host:
                if self.left is not None:
                    self.left -= 1
                return assignment
            self._give_back(assignment, f"4.3.0 this connection is for {self.host} only")
        return None

    def give_back(self) -> None:
        """All that waits goes back, and counts as not tried."""
        while self.waiting:
            self._give_back(self.waiting.popleft())

    def _give_back(self, assignment: Assignment, why: str = "") -> None:
        self._link.report(
            Report(
                id=assignment.message.id,
                verdict=Verdict.DEFERRED,
                status="4.3.0" if why else "",
                reply=why,
                scope="local",
            )
        )
