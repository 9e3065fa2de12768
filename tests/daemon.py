"""A real daemon for tests: ``twistd jobctl`` in a directory of its own, on free ports, ended by its own pid."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobctl.control.client import Client
from jobctl.control.refusals import NoDaemon
from tests.ports import free_port

BIN = Path(sys.executable).parent
# Measured runs need their figures saved before twistd ends by its signal.
TWISTD = (
    [sys.executable, str(Path(__file__).with_name("covered_twistd.py"))]
    if "COVERAGE_PROCESS_CONFIG" in os.environ
    else [str(BIN / "twistd")]
)


def program(name: str) -> str | None:
    """Where a program of Debian is, or ``None``."""
    import shutil

    return shutil.which(name) or shutil.which(name, path="/usr/sbin")


def noon() -> str:
    """
    A time zone (``TZ``) in which it is about noon now.

    What is done once a day, as the log's rollover at 00:30, never comes in the midst of a test there.
    """
    return f"noon{time.gmtime().tm_hour - 12:+d}"


def until(what: Callable[[], Any], seconds: float = 60, why: str = "") -> Any:
    """Ask until the answer is true; the deadline only ends a test that would hang."""
    end = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {seconds} s: {why or what}")
        # Between two looks at another process, as any poll of one must.
        with contextlib.suppress(InterruptedError):
            time.sleep(0.02)


def greets(port: int) -> bool:
    """Whether an SMTP server answers."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as made:
        made.settimeout(5)
        if made.recv(3) == b"220":
            made.sendall(b"QUIT\r\n")
            return True
    return False


class Daemon:
    """
    One Job Controller under test.

    :param configuration: TOML text; ``@NAME@`` fields are filled from ``values``.
    :param measured: Whether what it and its programs run counts as covered; a great number of messages of
        one kind runs nothing that others do not, and takes twice the time under measurement.
    """

    def __init__(
        self, directory: Path, configuration: str, *, measured: bool = True, **values: object
    ) -> None:
        self.directory = directory
        self.port = free_port()
        self.config = directory / "jobctl.toml"
        text = configuration.replace("@PORT@", str(self.port))
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        self.config.write_text(text)
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = {
            **os.environ,
            "TZ": noon(),
            "JOBCTL_CONFIG": str(self.config),
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }
        if not measured:
            self.environment.pop("COVERAGE_PROCESS_CONFIG", None)

    @property
    def log(self) -> str:
        """All it has said."""
        path = self.directory / "daemon.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> "Daemon":
        """Start it and wait until it is ready."""
        seen = len(self.log)
        with (self.directory / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*TWISTD, "-n", "--pidfile=", "jobctl"],
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=self.environment,
            )
        process = self.process
        until(lambda: "ready: " in self.log[seen:] or process.poll() is not None, 60, "ready")
        assert process.poll() is None, self.log
        return self

    def stop(self) -> int:
        """End it in the ordinary way; gives its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> "Daemon":
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()

    def command(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run ``jobctl``."""
        return subprocess.run(
            [str(BIN / "jobctl"), *words],
            env=self.environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=options.pop("timeout", 60),
            **options,
        )

    def json(self, *words: str) -> Any:
        """Run ``jobctl ... --json`` and read what it prints."""
        done = self.command(*words, "--json")
        assert done.returncode == 0, (words, done.stdout, done.stderr, self.log[-3000:])
        return json.loads(done.stdout)

    def ask(self, operation: str, **keys: Any) -> Any:
        """One operation over the control socket: what tests ask again and again starts no process each time."""
        settings = tomllib.loads(self.config.read_text())["job_controller"]
        path = self.directory / settings.get("control_socket", "var/control.sock")
        with Client(str(path)) as client:
            return client.call(operation, **keys)

    def summary(self) -> dict[str, dict[str, Any]]:
        """``qm summarize`` by channel, whether the daemon runs or not."""
        try:
            rows = self.ask("qm.summarize")
        except NoDaemon:
            rows = self.json("qm", "summarize")
        return {row["channel"]: row for row in rows}

    def await_listening(self) -> None:
        """Wait until its SMTP port greets."""

        until(lambda: greets(self.port), 60, "the SMTP port greets")
