"""The daemon's own log as JSON lines, for programs that read logs."""

from threading import get_ident
from typing import Any

from twisted.logger import ILogObserver, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

from jobctl.accounts.events import event_line
from jobctl.controller.log_file import LogFile


@implementer(ILogObserver)
class JsonLog:
    """
    Writes every event from ``info`` upwards, when a file is named; beside what twistd logs, not instead.

    As with all logs a full disk costs lines and nothing else.

    :ivar path: The file, ``""``: nothing is written.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._file: LogFile | None = None
        self._thread = 0
        self.path = ""

    def write_to(self, path: str) -> None:
        """Write there from now on; called in the reactor's thread."""
        if path == self.path:
            return
        self.stop()
        self.path = path
        if path:
            self._thread = get_ident()
            self._file = LogFile(path, self._reactor)
            globalLogPublisher.addObserver(self)

    def stop(self) -> None:
        """No more of it; what is known is written."""
        file, self._file, self.path = self._file, None, ""
        if file is not None:
            globalLogPublisher.removeObserver(self)
            file.end()

    def __call__(self, event: dict[str, Any]) -> None:
        level = event.get("log_level", LogLevel.info)
        if level is not None and level < LogLevel.info:
            return
        failure = event.get("log_failure")
        traceback = "" if failure is None else failure.getTraceback()
        name = "info" if level is None else level.name
        line = event_line(event, name, formatEvent(event), traceback)
        if get_ident() == self._thread:
            self._append(line)
        else:
            self._reactor.callFromThread(self._append, line)

    def _append(self, line: str) -> None:
        if self._file is not None:
            self._file.append(line)
