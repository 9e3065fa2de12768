"""The system's log, for those who want the transaction log there."""

import socket

from twisted.logger import Logger

log = Logger()

PATH = "/dev/log"
# Octets of one message; longer ones are cut by many who receive them (RFC 3164 section 4.1 has 1024).
MOST = 2048


class Syslog:
    """
    Datagrams to the local socket, never waited for.

    :ivar lost: Lines that nobody took.
    """

    def __init__(self, path: str = PATH) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._failing = False
        self.lost = 0

    def send(self, line: str, priority: int) -> None:
        """
        :param priority: Facility and severity as one number: 22 is ``mail.info``.
        """
        data = f"<{priority}>jobctl: {line}".encode("utf-8", "backslashreplace")[:MOST]
        try:
            if self._socket is None:
                made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                made.setblocking(False)
                self._socket = made
            self._socket.sendto(data, self._path)
            self._failing = False
        except OSError as why:
            self.lost += 1
            if not self._failing:
                self._failing = True
                log.error("syslog takes nothing: {why}", why=why.strerror or str(why))

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
