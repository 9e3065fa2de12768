"""
Delivery into Maildirs: the model of a master program that talks to nobody.

What comes together is made durable together: files are written while their
content comes in; then each is synchronised and linked into ``new``, and every
directory is synchronised once, before any of them is reported.
"""

import errno
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from channels.kit.link import WINDOW, Assignment
from channels.kit.maildir import Copy, Maildirs, sync_directory
from channels.kit.program import Run
from channels.kit.program import main as run_program
from channels.kit.startup import EX_CONFIG, EX_OK, EX_TEMPFAIL, CannotStart
from jobctl.config.settings import ChannelSettings
from jobctl.jobprotocol.frames import HelloController, Report, Work
from jobctl.mail.disposition import Disposition, Verdict

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

NAME = "maildir_master"

# Messages in hand, and so the most that share a synchronisation.
_IN_HAND = 64
# File systems join synchronisations that are asked for at the same time.
_THREADS = 8


class Delivery:
    """
    One message in hand.

    :ivar copies: One for each mailbox, as long as nothing went wrong with it.
    :ivar troubles: The verdicts on recipients with whose mailbox something did.
    """

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.copies: list[Copy] = []
        self.troubles: list[Disposition] = []

    def trouble(self, path: str, addresses: Iterable[str], why: OSError) -> None:
        """Whatever the file system refuses is temporary: these recipients' message stays in the queue."""
        status, reply = refusal(path, why)
        self.troubles += [Disposition(address, Verdict.DEFERRED, status, reply) for address in addresses]

    def each_copy(self, act: Callable[[Copy], None]) -> None:
        """Do something with every copy that is still good."""
        for copy in list(self.copies):
            try:
                act(copy)
            except OSError as why:
                self.spoil(copy, why)

    def spoil(self, copy: Copy, why: OSError) -> None:
        """A copy cannot be delivered."""
        copy.abandon()
        self.copies.remove(copy)
        self.trouble(copy.maildir.path, copy.addresses, why)

    def report(self) -> Report:
        """The verdicts on all recipients."""
        report = Report(id=self.assignment.message.id, results=tuple(self.troubles))
        if self.copies:
            report.verdict = Verdict.DELIVERED
            report.status = "2.1.5"
            report.reply = "250 2.1.5 Delivered"
        return report


class MaildirMaster:
    """All messages of one channel; see :class:`channels.kit.program.Duty` for what is called when."""

    def __init__(self, run: Run) -> None:
        self.status: int | None = None
        self.deadline: float | None = None
        self._run = run
        self._maildirs: Maildirs | None = None
        self._host = ""
        self._credit = 0
        self._open: dict[str, Delivery] = {}
        self._leaving = False
        self._threads: ThreadPoolExecutor | None = None

    def begin(self, hello: HelloController, channel: ChannelSettings) -> None:
        if not channel.maildir:
            raise CannotStart(f'{NAME}: channel {channel.name} needs the key maildir = "PATH"', EX_CONFIG)
        self._maildirs = Maildirs(channel.maildir)
        self._host = channel.local_host

    @property
    def busy(self) -> bool:
        """What is said to the controller is never held back."""
        return False

    def hear(self, event: Any) -> None:
        if type(event) is Assignment:
            self._credit -= 1
            self._open[event.message.id] = self._delivery(event)

    def work(self) -> Iterable[Work]:
        for id, delivery in self._open.items():
            taken = delivery.assignment.taken
            yield Work(id, "content" if taken < delivery.assignment.message.octets else "sync", "", taken)

    def _delivery(self, assignment: Assignment) -> Delivery:
        delivery = Delivery(assignment)
        message = assignment.message
        assert message.envelope is not None and self._maildirs is not None
        mailboxes: dict[str, list[str]] = {}
        for recipient in message.envelope.recipients:
            mailboxes.setdefault(self._maildirs.path_of(recipient.address), []).append(recipient.address)
        for path, addresses in mailboxes.items():
            try:
                delivery.copies.append(Copy(self._maildirs.get(path), addresses, message, self._host))
            except OSError as why:
                delivery.trouble(path, addresses, why)
        return delivery

    def turn(self) -> None:
        if self._maildirs is None:
            return
        complete = []
        for delivery in self._open.values():
            while (piece := delivery.assignment.take()) is not None:
                self._run.progress += 1
                delivery.each_copy(lambda copy, piece=piece: copy.write(piece))  # type: ignore[misc]
            if delivery.assignment.complete:
                complete.append(delivery)
        if complete:
            self._finish(complete)
        if self._run.link.stopping or self._leaving:
            if not self._open:
                self.status = EX_OK
            return
        free = _IN_HAND - self._credit - len(self._open)
        if free >= _IN_HAND // 2:
            self._credit += free
            self._run.link.ask(free)

    def _finish(self, complete: list[Delivery]) -> None:
        """Deliver what is complete: files, names, directories, then the reports, in this order."""
        self._synchronise(complete)
        for delivery in complete:
            delivery.each_copy(Copy.publish)
        self._synchronise_directories(complete)
        for delivery in complete:
            del self._open[delivery.assignment.message.id]
            self._run.link.report(delivery.report())
            self._run.progress += 1

    def _synchronise(self, complete: list[Delivery]) -> None:
        if sum(len(delivery.copies) for delivery in complete) == 1:
            for delivery in complete:
                delivery.each_copy(Copy.sync)
            return
        if self._threads is None:
            # Late: a program that starts for one message needs none.
            from concurrent.futures import ThreadPoolExecutor

            self._threads = ThreadPoolExecutor(_THREADS)
        under_way = [
            (delivery, copy, self._threads.submit(copy.sync))
            for delivery in complete
            for copy in delivery.copies
        ]
        for delivery, copy, future in under_way:
            try:
                future.result()
            except OSError as why:
                delivery.spoil(copy, why)

    def _synchronise_directories(self, complete: list[Delivery]) -> None:
        failed: dict[str, OSError] = {}
        for path in {copy.maildir.new for delivery in complete for copy in delivery.copies}:
            try:
                sync_directory(path)
            except OSError as why:
                failed[path] = why
        if not failed:
            return
        for delivery in complete:
            for copy in [one for one in delivery.copies if one.maildir.new in failed]:
                # Not to be taken for delivered next time: what failed to be synchronised once may be lost.
                copy.maildir.withdraw(copy.name)
                delivery.spoil(copy, failed[copy.maildir.new])

    def flush(self) -> None:
        """There is no output but the link's."""

    def leave(self) -> None:
        """Finish what is in hand: it is a matter of moments."""
        self._leaving = True
        if self._maildirs is None:
            self.status = EX_OK

    def link_lost(self) -> None:
        for delivery in self._open.values():
            for copy in delivery.copies:
                copy.abandon()
        self.status = EX_TEMPFAIL

    def timed_out(self) -> None:
        """Nothing is waited for."""


def refusal(path: str, why: OSError) -> tuple[str, str]:
    """Status and reply for what the file system said: always temporary."""
    if why.errno == errno.EDQUOT:
        return "4.2.2", f"452 4.2.2 mailbox full: {path}"
    if why.errno == errno.ENOSPC:
        return "4.3.1", f"452 4.3.1 no space left on the disk of {path}"
    return "4.3.0", f"451 4.3.0 cannot write to {path}: {why.strerror}"


def main() -> int:
    """The console script; the exit status is of sysexits.h."""
    return run_program(NAME, "master", WINDOW, MaildirMaster)


if __name__ == "__main__":
    sys.exit(main())
