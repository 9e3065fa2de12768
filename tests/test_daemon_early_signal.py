"""SIGHUP while the daemon is being started: remembered from the moment it is known to be ours."""

import contextlib
import signal
import subprocess
import sys

import pytest

from tests.daemon import Daemon, until

# twistd as it is, but that a SIGHUP comes whenever one of these modules is about to be imported.
EARLY = """
import os, signal, sys
from twisted.scripts.twistd import run

class Hang:
    def find_spec(self, name, path=None, target=None):
        if name in ("jobctl.service", "jobctl.config.loader", "jobctl.store.sqlite"):
            os.kill(os.getpid(), signal.SIGHUP)

sys.meta_path.insert(0, Hang())
sys.argv = ["twistd", "-n", "--pidfile=", "jobctl"]
run()
"""
CONFIGURATION = """
[job_controller]
queue_directory = "var/queue"
control_socket = "var/control.sock"
log_directory = "var/log"
[channel.l]
official_host_name = "mail.example.org"
"""


@pytest.mark.real
@pytest.mark.timeout(120)
def test_a_signal_while_it_is_imported(tmp_path):
    """It does not end the process; once it is up the file is read again, once for all that came."""
    daemon = Daemon(tmp_path, CONFIGURATION)
    with (tmp_path / "daemon.log").open("ab") as log:
        daemon.process = subprocess.Popen(
            [sys.executable, "-c", EARLY], stdout=log, stderr=log, cwd=tmp_path, env=daemon.environment
        )
    with contextlib.ExitStack() as stack:
        stack.callback(daemon.stop)
        until(lambda: "reloaded by SIGHUP" in daemon.log or daemon.process.poll() is not None)
        assert daemon.process.poll() is None, daemon.log
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: daemon.log.count("reloaded by SIGHUP") == 2)


@pytest.mark.real
@pytest.mark.timeout(120)
def test_a_signal_while_it_begins_anew(tmp_path):
    """A restart of the same process lets none in before there is a handler, and none is lost."""
    script = (
        "import os, signal, sys\n"
        "from jobctl.controller.process_control import Again\n"
        "pid = os.getpid()\n"
        "real = os.execv\n"
        "def execv(path, words):\n"
        "    os.kill(pid, signal.SIGHUP)\n"
        "    real(path, words)\n"
        "os.execv = execv\n"
        f"Again().execute([sys.executable, '-c', {EARLY!r}])\n"
    )
    daemon = Daemon(tmp_path, CONFIGURATION)
    with (tmp_path / "daemon.log").open("ab") as log:
        daemon.process = subprocess.Popen(
            [sys.executable, "-c", script.replace('"jobctl.service", ', "")],
            stdout=log,
            stderr=log,
            cwd=tmp_path,
            env=daemon.environment,
        )
    with contextlib.ExitStack() as stack:
        stack.callback(daemon.stop)
        until(lambda: "reloaded by SIGHUP" in daemon.log or daemon.process.poll() is not None)
        assert daemon.process.poll() is None, daemon.log
