"""Room on the disk: mail is refused long before it is full, and a reserve lets results be recorded then."""

import os
from collections.abc import Callable

from twisted.logger import Logger

from jobctl.store.disk import Disk

log = Logger()

# More than the log can hold between two checkpoints (writer.py): with it free, a log full of new pages can
# be copied into the database, and from then on results need no more room than the log already has.
RESERVE = 32 * 1024 * 1024
# Content files and the database's own need some inodes.
_FEWEST_FILES = 1000
_LOOK_EVERY = 1.0


class Space:
    """
    Watches free space and owns the reserve file.

    :param directory: The queue directory.
    :param free_space: Octets that must stay free for mail to be accepted.
    :param clock: Seconds; the disk is looked at once a second at most.
    :ivar looked_now: The last :meth:`refusal` looked; others may want to look at something then, too.
    """

    def __init__(self, directory: str, free_space: int, clock: Callable[[], float], disk: Disk) -> None:
        self._directory = directory
        self._path = os.path.join(directory, "reserve")
        self.free_space = free_space
        self._clock = clock
        self._disk = disk
        self._looked = float("-inf")
        # One that a run before this left behind is as good.
        self._reserved = os.path.exists(self._path) and os.path.getsize(self._path) >= RESERVE
        self._why = ""
        self.looked_now = False

    def refusal(self) -> str:
        """Why no new mail may be accepted, ``""`` when it may."""
        now = self._clock()
        self.looked_now = not 0 <= now - self._looked < _LOOK_EVERY
        if self.looked_now:
            self._looked = now
            self._look()
        return self._why

    @property
    def short(self) -> bool:
        """Whether there was too little room when it was looked at last; may be asked from any thread."""
        return bool(self._why)

    def _look(self) -> None:
        try:
            octets, files = self._disk.free(self._directory)
            if not self._reserved and octets > self.free_space + RESERVE:
                self._disk.allocate(self._path, RESERVE)
                self._reserved = True
        except OSError as why:
            reason = f"the queue's disk cannot be looked at: {why.strerror}"
        else:
            reason = ""
            if not self._reserved:
                reason = "the queue's disk has no room for the reserve"
            elif octets < self.free_space:
                reason = f"the queue's disk has only {octets} octets free"
            elif files < _FEWEST_FILES:
                reason = f"the queue's disk has only {files} inodes free"
        if bool(reason) != bool(self._why):
            log.warn("store: {state}", state=reason or "there is room again")
        self._why = reason

    def give_up_reserve(self) -> bool:
        """
        Free the reserve so that what is in the queue can still leave it.

        :return: ``False`` when it was given up before.
        """
        self._why = "the queue's disk is full"
        self._looked = self._clock()
        if not self._reserved:
            return False
        self._reserved = False
        log.warn("store: disk full; the reserve of {octets} octets is given up", octets=RESERVE)
        self._disk.remove(self._path)
        return True
