"""``twistd jobctl``: its options, and the service that runs the Job Controller."""

import atexit
import gc
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python import usage
from twisted.python.failure import Failure

from jobctl.config.loader import load, load_default
from jobctl.config.settings import Settings
from jobctl.control.listener import listen
from jobctl.control.peer import Rights, daemon_rights
from jobctl.control.server import ControlFactory
from jobctl.controller.controller import Controller
from jobctl.controller.process_control import Again
from jobctl.errors import ConfigError, JobctlError, StoreError
from jobctl.net import hang_up, sure_events, systemd
from jobctl.net.first_word import FirstWord
from jobctl.net.steady_clock import SteadyClock
from jobctl.store.lock import QueueLock
from jobctl.welcome import Welcome

log = Logger()

# Where a configuration is looked for when none is named; the commands look there, too.
PLACES = ("jobctl.toml", "/etc/jobctl/jobctl.toml")


class Options(usage.Options):
    """Command line of the plugin."""

    optParameters = [
        [
            "config",
            "c",
            None,
            "The configuration file (else JOBCTL_CONFIG, ./jobctl.toml, or the built-in default)",
        ],
        ["json-log", None, None, "Write the log as JSON lines into this file, too (else json_log)"],
    ]
    optFlags = [
        ["first-message", None, "When ready, send one message through the generic channel and show it"]
    ]
    longdesc = """Runs the Job Controller: a durable mail queue per channel, and the programs that move the mail.
Without a configuration file it serves SMTP on 127.0.0.1:2525, delivers mail for mail.example.org to ./var/Maildir
and keeps its queue under ./var.  'jobctl --help' has the commands, 'jobctl test config' checks a file."""


def settings_for(path: str | None) -> Settings:
    """
    The configuration that was asked for, or found.

    :raises ConfigError: All that is wrong with it.
    """
    path = path or os.environ.get("JOBCTL_CONFIG") or next(filter(os.path.exists, PLACES), None)
    settings = load_default(os.getcwd()) if path is None else load(path)
    # Channel programs and what they start find the same file.
    os.environ["JOBCTL_CONFIG"] = os.path.abspath(settings.path)
    return settings


class JobctlService(Service):
    """
    The daemon's life as Twisted sees it.

    Ports are opened while the daemon still has the rights it was started with, the queue and
    the control socket are taken as the user it runs as; all of it in the process that stays
    (a lock must not be taken before twistd forks), and before whoever started it in the
    background is told that it runs.

    :param terminal: A descriptor of ours to complain to while starting, -1: standard error.
    :param json_log: File for events as JSON lines, before what the settings say.
    :param first_word: Where whoever started it in the background waits for one.
    """

    def __init__(
        self,
        settings: Settings,
        first_message: bool = False,
        terminal: int = -1,
        first_word: FirstWord | None = None,
        json_log: str = "",
    ) -> None:
        self.settings = settings
        self._first_message = first_message
        self._terminal = terminal
        self._first_word = first_word
        self._json_log = json_log
        self._failed = False
        self.controller: Controller | None = None
        self._control: ControlFactory | None = None
        self._control_port: Any = None
        self._again = Again()
        self._clock: SteadyClock | None = None

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        from twisted.internet import reactor

        self._or_end(self._listen, reactor)

    def startService(self) -> None:
        super().startService()
        from twisted.internet import reactor

        self._or_end(self._take, reactor)
        if not self._failed:
            starting = ensureDeferred(self._start(reactor))
            starting.addErrback(self._cannot_start, reactor)
        if self._terminal >= 0:
            # twistd tells whoever started it that all is well: nothing more is said there.
            terminal, self._terminal = self._terminal, -1
            os.close(terminal)
        if self._first_word is not None:
            self._first_word.say(os.EX_OK)

    def hang_up(self) -> None:
        """SIGHUP: read the configuration again."""
        if self.controller is not None:
            self.controller.reloads.hang_up()

    def _listen(self, reactor: Any) -> None:
        sure_events.install(reactor)
        self._clock = SteadyClock(reactor)
        self._clock.install()
        controller = self.controller = Controller(reactor, self.settings, monotonic=time.monotonic)
        controller.json_log_file = self._json_log
        path = os.path.abspath(self.settings.path)
        reloads = controller.reloads
        # In a thread: a file of hundreds of channels takes a tenth of a second, and mail goes on.
        reloads.read = lambda: deferToThreadPool(
            reactor, reactor.getThreadPool(), load, path, self.settings.path
        )
        reloads.rights = self._new_rights
        reloads.tell = lambda begins: systemd.tell("RELOADING" if begins else "READY")
        controller.process_control.end = reactor.stop
        controller.process_control.again = self._again
        controller.listen()

    def _take(self, reactor: Any) -> None:
        where = self.settings.controller
        try:
            os.makedirs(where.log_directory, mode=0o750, exist_ok=True)
        except OSError as why:
            raise StoreError(f"cannot make the directory {where.log_directory}: {why.strerror}") from None
        controller = self.controller
        assert controller is not None
        controller.take()
        controller.supervisor.adopt_orphans()
        rights = daemon_rights(where.control_group, where.control_readers)
        self._control = ControlFactory(controller.operations, rights, reactor)
        self._control_port = listen(reactor, where.control_socket, self._control, rights.group)
        # Who connects now waits until there is something to answer with.
        self._control_port.stopReading()

    async def _start(self, reactor: Any) -> None:
        controller = self.controller
        assert controller is not None
        await controller.start()
        self._control_port.startReading()
        controller.serve()
        # What is there now stays: the garbage collector need not look at it again, with everything standing still.
        gc.collect()
        gc.freeze()
        systemd.tell("READY")
        log.info(
            "ready: {channels} channels, queue {queue}",
            channels=len(self.settings.channels),
            queue=self.settings.controller.queue_directory,
        )
        if self._first_message:
            # Not sys.stdout: twistd makes that a log.
            await Welcome(controller, sys.__stdout__ or sys.stdout).show()

    def _or_end(self, step: Callable[[Any], None], reactor: Any) -> None:
        """Do one step of the start, or end it: in the background by the exception that twistd waits for."""
        if self._failed:
            return
        try:
            step(reactor)
        except Exception:
            self._cannot_start(Failure(), reactor)
            if self._first_word is not None:
                raise

    def _cannot_start(self, why: Failure, reactor: Any) -> None:
        self._failed = True
        if why.check(JobctlError, OSError):
            text = _words(why.value)
            self._complain(f"jobctl: {text}\n")
            # In the background nobody may read that.
            log.critical("the Job Controller cannot start: {why}", why=text)
        else:
            log.failure("the Job Controller cannot start", failure=why)
        if self._first_word is not None:
            self._first_word.say(os.EX_TEMPFAIL)
        # twistd knows no exit status; it removes its pidfile before this.
        atexit.register(os._exit, os.EX_TEMPFAIL)
        # We may be here before the reactor runs.
        reactor.callWhenRunning(reactor.stop)

    def _new_rights(self, settings: Settings, rights: Rights) -> None:
        self.settings = settings
        if self._control is not None:
            self._control.reconfigure(rights)
            try:
                self._control_port.give_to(os.getegid() if rights.group is None else rights.group)
            except OSError as why:
                log.error("control_group: the socket cannot be given to the group: {why}", why=why.strerror)

    def _complain(self, text: str) -> None:
        # Not sys.stderr: twistd makes that a log.
        if self._terminal < 0:
            print(text, end="", file=sys.__stderr__, flush=True)
            return
        with suppress(OSError):
            os.write(self._terminal, text.encode())

    def stopService(self) -> Deferred[None]:
        super().stopService()
        systemd.tell("STOPPING")
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        if self._control_port is not None:
            await maybeDeferred(self._control_port.stopListening)
        if self._control is not None:
            self._control.drop_all()
        if self.controller is not None:
            await self.controller.stop()
        if self._clock is not None:
            self._clock.remove()


def _words(why: BaseException | None) -> str:
    """What went wrong, without the number that Python puts before the system's words."""
    return why.strerror if isinstance(why, OSError) and why.strerror else str(why)


def _check_free(queue_directory: str) -> None:
    """
    Notice another controller while there is a terminal to say it on; the store's own lock decides.

    :raises JobctlError: One is running.
    """
    path = os.path.join(queue_directory, "lock")
    if os.path.exists(path):
        lock = QueueLock(path)
        lock.take()
        lock.release()


def makeService(options: Options) -> JobctlService:
    """Called by ``twistd``.  What is wrong and can be known ends it here, before anything starts."""
    try:
        settings = settings_for(options["config"])
    except ConfigError as why:
        for problem in why.problems:
            print(f"jobctl: {problem}", file=sys.stderr)
        raise SystemExit(os.EX_CONFIG) from None
    try:
        _check_free(settings.controller.queue_directory)
    except JobctlError as why:
        print(f"jobctl: {why}", file=sys.stderr)
        raise SystemExit(os.EX_TEMPFAIL) from None
    # SQLite's thread and the reactor's share the interpreter: shorter turns keep commits going under load.
    sys.setswitchinterval(0.0005)
    twistd: Any = options.parent or {}
    background = bool(twistd) and not (twistd["nodaemon"] or twistd["debug"])
    # In the background twistd takes standard error away; until the daemon has started, what is wrong is said here.
    terminal = os.dup(2) if background else -1
    json_log = options["json-log"]
    service = JobctlService(
        settings,
        options["first-message"],
        terminal,
        FirstWord() if background else None,
        os.path.abspath(json_log) if json_log else "",
    )
    watch_hang_up(service)
    return service


def watch_hang_up(service: JobctlService) -> None:
    """
    Have SIGHUP mean a reload, from now on: before the reactor runs it would end the process.

    Twisted's reactor leaves this signal alone.
    """
    from twisted.internet import reactor

    # The reactor's thread does it when it comes round.
    hang_up.hear(lambda: reactor.callFromThread(service.hang_up))  # type: ignore[attr-defined]
