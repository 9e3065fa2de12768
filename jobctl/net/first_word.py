"""What whoever starts the daemon in the background learns by the exit status."""

import os


class FirstWord:
    """
    The exit status of the process that was started, said by the one that stays.

    To ``twistd`` a start fails with 1, whatever the matter is.  So the process that it leaves waits here first, right
    after the fork, and ends by itself where something is wrong.  Make it before twistd forks; at the second fork
    nobody waits.
    """

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.register_at_fork(after_in_parent=self._wait, after_in_child=self._forked)

    def say(self, status: int) -> None:
        """0: it runs.  Only the first word counts."""
        if self._writing >= 0:
            writing, self._writing = self._writing, -1
            os.write(writing, bytes([status]))
            os.close(writing)

    def _wait(self) -> None:
        # Every program that the daemon starts is a fork, too.
        if self._reading < 0:
            return
        os.close(self._writing)
        reading, self._reading, self._writing = self._reading, -1, -1
        # Nothing at all: it died, and twistd finds that out.
        word = os.read(reading, 1)
        os.close(reading)
        if word and word[0]:
            os._exit(word[0])

    def _forked(self) -> None:
        if self._reading >= 0:
            os.close(self._reading)
            self._reading = -1
