"""Whoever keeps accounts, told of everything that is committed."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.logger import Logger

from jobctl.jobprotocol.frames import Event, Submit
from jobctl.mail.entry import Settlement, StoredEntry, Submission

log = Logger()


class Book(Protocol):
    """What it may be told; times are epoch seconds."""

    def queued(self, ids: Sequence[str], submission: Submission, now: float) -> None:
        """A message is in the queue, in these entries."""

    def settled(self, stored: StoredEntry, settlement: Settlement, now: float) -> None:
        """A settlement of an entry is on the disk; ``stored`` is the entry before."""

    def event(self, job: Any, event: Event, now: float) -> None:
        """A program told of a connection."""

    def aborted(self, job: Any, first: Submit, received: int, now: float) -> None:
        """A message that had begun to come in, with this frame, ends after so many octets."""

    def job_ended(self, job: Any) -> None:
        """Nothing more comes of a job."""


class Books:
    """
    Tells every book; a bug in one is logged and stops neither mail nor the others.

    :ivar books: In the order in which they are told.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self.books: list[Book] = []

    def queued(self, ids: Sequence[str], submission: Submission) -> None:
        """As :class:`Book` has it, and so are the others."""
        now = self._seconds()
        for book in self.books:
            try:
                book.queued(ids, submission, now)
            except Exception:
                _bug()

    def settled(self, stored: StoredEntry, settlement: Settlement) -> None:
        now = self._seconds()
        for book in self.books:
            try:
                book.settled(stored, settlement, now)
            except Exception:
                _bug()

    def event(self, job: Any, event: Event) -> None:
        now = self._seconds()
        for book in self.books:
            try:
                book.event(job, event, now)
            except Exception:
                _bug()

    def aborted(self, job: Any, first: Submit, received: int) -> None:
        now = self._seconds()
        for book in self.books:
            try:
                book.aborted(job, first, received, now)
            except Exception:
                _bug()

    def job_ended(self, job: Any) -> None:
        for book in self.books:
            try:
                book.job_ended(job)
            except Exception:
                _bug()


def _bug() -> None:
    log.failure("bug while accounts are kept; mail goes on")
