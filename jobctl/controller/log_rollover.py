"""Once a day ``mail.log_current`` becomes ``mail.log_yesterday``, and that a part of ``mail.log``."""

import os
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from jobctl.accounts.log_names import LogNames, last_rollover, next_rollover
from jobctl.controller.log_file import LogFile

log = Logger()

# The wall clock can step: never sleep past this without looking again.
LONGEST_SLEEP = 60.0
# Octets appended in one turn of the reactor.
PIECE = 256 * 1024


class Rollover:
    """
    The days of one log.

    Every step is a rename or can be begun anew, so a crash loses and doubles nothing: while yesterday's
    lines are appended, their file's name tells how long ``mail.log`` was before.

    :param file: What is written; let go of before it is renamed.
    :param minutes: As :attr:`JobControllerSettings.log_rollover`; less than 0: never.
    """

    def __init__(self, file: LogFile, directory: str, names: LogNames, reactor: Any, minutes: int) -> None:
        self._file = file
        self._directory = directory
        self._names = names
        self._reactor = reactor
        self._minutes = minutes
        self._next = 0.0
        self._later: IDelayedCall | None = None
        self._adding: IDelayedCall | None = None

    def start(self) -> None:
        """Go on with what a crash interrupted, make up for a day's end that was missed, and wait for the next."""
        self._try(self._resume)
        if self._minutes >= 0:
            now = self._reactor.seconds()
            written = self._written()
            if written is not None and written < last_rollover(now, self._minutes):
                self.roll()
            self._wait(now)

    def reconfigure(self, minutes: int) -> None:
        """Another time of day."""
        if minutes != self._minutes:
            self._minutes = minutes
            self._cancel(self._later)
            if minutes >= 0:
                self._wait(self._reactor.seconds())

    def stop(self) -> None:
        """No more of it; what is being appended is taken up by the next start."""
        self._cancel(self._later)
        self._cancel(self._adding)

    def _wait(self, now: float) -> None:
        self._next = next_rollover(now, self._minutes)
        self._sleep(now)

    def _sleep(self, now: float) -> None:
        self._later = self._reactor.callLater(min(LONGEST_SLEEP, max(0.0, self._next - now)), self._look)

    def _look(self) -> None:
        now = self._reactor.seconds()
        if now >= self._next:
            self.roll()
            self._wait(now)
        elif next_rollover(now, self._minutes) < self._next:
            # The clock was put back by a day or more.
            self._wait(now)
        else:
            self._sleep(now)

    def roll(self) -> None:
        """The day is over, whatever the clock says."""
        self._file.flush()
        self._file.close()
        self._try(self._roll)

    def _roll(self) -> None:
        names = self._names
        if self._interrupted() is not None:
            log.warn("{file} is still being appended to; the day goes on", file=names.whole)
            if self._adding is None:
                self._resume()
            return
        if self._there(names.yesterday):
            if self._there(names.whole):
                size = os.stat(self._path(names.whole)).st_size
                os.rename(self._path(names.yesterday), self._path(f"{names.adding}.{size}"))
            else:
                os.rename(self._path(names.yesterday), self._path(names.whole))
        if self._there(names.current):
            os.rename(self._path(names.current), self._path(names.yesterday))
        self._resume()

    def _resume(self) -> None:
        """Append, some at a time, what is to be a part of the whole."""
        found = self._interrupted()
        if found is None:
            return
        name, size = found
        with open(self._path(self._names.whole), "ab") as whole:
            if os.fstat(whole.fileno()).st_size > size:
                os.ftruncate(whole.fileno(), size)
        self._append(name, 0)

    def _append(self, name: str, done: int) -> None:
        self._adding = None
        try:
            with open(self._path(name), "rb") as part, open(self._path(self._names.whole), "ab") as whole:
                part.seek(done)
                piece = part.read(PIECE)
                whole.write(piece)
            if piece:
                self._adding = self._reactor.callLater(0, self._append, name, done + len(piece))
            else:
                os.unlink(self._path(name))
        except OSError as why:
            self._cannot(why)

    def _interrupted(self) -> tuple[str, int] | None:
        """Name of the file that is being appended, and the size of the whole before."""
        beginning = self._names.adding + "."
        try:
            names = sorted(os.listdir(self._directory))
        except FileNotFoundError:
            return None
        for name in names:
            if name.startswith(beginning) and name[len(beginning) :].isdecimal():
                return name, int(name[len(beginning) :])
        return None

    def _written(self) -> float | None:
        try:
            return os.stat(self._path(self._names.current)).st_mtime
        except OSError:
            return None

    def _try(self, step: Any) -> None:
        try:
            step()
        except OSError as why:
            self._cannot(why)

    def _cannot(self, why: OSError) -> None:
        log.error(
            "{file} cannot be rolled over, it will be tried again tomorrow: {why}",
            file=self._names.current,
            why=why.strerror or str(why),
        )

    def _there(self, name: str) -> bool:
        return os.path.exists(self._path(name))

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _cancel(self, call: IDelayedCall | None) -> None:
        if call is not None and call.active():
            call.cancel()
