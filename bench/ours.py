"""A Job Controller of its own for a measurement."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.peers import await_port

CONFIGURATION = """
[job_controller]
queue_directory = "queue"
control_socket  = "control.sock"
log_directory   = "log"

[job_controller.job_pool.SMTP_POOL]
job_limit = 10
[job_controller.channel_class."tcp_*"]
master_command = "tcp_smtp_client"
slave_command  = "tcp_smtp_server"
[job_controller.channel_class."test_smtp*"]
master_command = "test_smtp_master"
slave_command  = "test_smtp_slave"
transport = "tcp"

[dispatcher.service.SMTP]
listen  = ["tcp:{port}:interface=127.0.0.1"]
channel = "tcp_local"
relay_from = ["127.0.0.0/8"]

[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_local]
official_host_name = "tcp-daemon"
smtp = true
[channel.{out}]
official_host_name = "out-daemon"
smtp = true
daemon = "[127.0.0.1]"
port = {sink}
pool = "SMTP_POOL"
maxjobs = 1

[rewrite]
"sink.example" = "{out}"
"""


@contextlib.contextmanager
def controller(port: int, sink_port: int, directory: Path, channel: str) -> Iterator[int]:
    """Runs ``twistd jobctl`` with mail for sink.example going out through ``channel``; gives its pid."""
    directory.mkdir(parents=True)
    config = directory / "jobctl.toml"
    config.write_text(CONFIGURATION.format(port=port, sink=sink_port, out=channel))
    twistd = Path(sys.executable).with_name("twistd")
    with (directory / "twistd.log").open("wb") as log:
        process = subprocess.Popen(
            [str(twistd), "-n", "--pidfile=", "jobctl", "--config", str(config)],
            stdout=log,
            stderr=log,
            cwd=directory,
        )
        try:
            await_port(port)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
