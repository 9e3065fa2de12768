"""
Which final dots a job announced, in a file that outlives it and us.

A program appends ``<entry id> <attempt>`` LF with one ``write`` before the final
dot of a message goes.  The octets are then with the kernel: killing the program,
the controller or both does not undo them (losing power may).  Lines are in no
order and may repeat; a torn last line says nothing.
"""

import os
import re
from contextlib import suppress

# A line: 64 octets would do; what is longer was not written by a program that follows the rules.
_LINE = re.compile(rb"([0-9A-Za-z]{1,64}) ([0-9]{1,9})")
# Several times what 20,000 messages (max_life_askwork) take; the rest of a longer file is not read.
_LIMIT = 4 * 1024 * 1024


def read_journal(path: str) -> set[tuple[str, int]]:
    """
    The announced (entry id, attempt) pairs; empty when there is no such file.

    :raises OSError: It is there and cannot be read.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_LIMIT)
    except FileNotFoundError:
        return set()
    whole = data[: data.rfind(b"\n") + 1]
    return {
        (found[1].decode("ascii"), int(found[2]))
        for line in whole.split(b"\n")
        if (found := _LINE.fullmatch(line)) is not None
    }


def leftovers(directory: str) -> dict[str, set[tuple[str, int]]]:
    """
    What jobs of a former life announced: journal file's path to (entry id, attempt) pairs.

    The caller removes each file once what it says is stored.  A missing directory has none.

    :param directory: ``<queue_directory>/sent``.
    """
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return {}
    return {
        path: read_journal(path) for name in names if os.path.isfile(path := os.path.join(directory, name))
    }


class Journal:
    """
    One job's file, for as long as the job holds anything unsettled.

    :ivar fd: The descriptor to hand to the program; append-only, close-on-exec with us.
    :raises OSError: It cannot be made.
    """

    def __init__(self, directory: str, job: str) -> None:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        base = self.path = os.path.join(directory, job)
        again = 0
        while True:
            try:
                self.fd = os.open(self.path, flags, 0o600)
                return
            except FileExistsError:
                # A job of a former life had this name and is not settled yet: never mix the two.
                again += 1
                self.path = f"{base}.{again}"

    def close(self) -> None:
        """Let go of the descriptor, once the program has its own."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def announced(self) -> set[tuple[str, int]]:
        """(entry id, attempt) of every final dot announced so far."""
        return read_journal(self.path)

    def remove(self) -> None:
        """Forget it: all that the job held is settled, and that is stored."""
        self.close()
        with suppress(FileNotFoundError):
            os.unlink(self.path)
