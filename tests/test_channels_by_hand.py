"""The generic programs started by hand: configuration, control socket, the pipe between them."""

import os
import subprocess
import sys

import pytest

from jobctl.jobprotocol.frames import Event, HelloProgram, Report, Stop
from tests.kit_support import (
    PATIENCE,
    ROOT,
    Controller,
    ControlSocket,
    Program,
    channel,
    configuration,
    message,
    serve_slave,
)

MASTER = "channels.test_smtp_master"
SLAVE = "channels.test_smtp_slave"
MAILDIR = "channels.maildir_master"
MAIL = b"Subject: by hand\r\n\r\n.dot\r\n\xff\r\n"


def test_back_to_back(tmp_path):
    """PMDF_CHANNEL=x test_smtp_master <r | PMDF_CHANNEL=y test_smtp_slave >r moves mail."""
    arrived, reports = [], []

    def play(role, controller: Controller):
        if role == "slave":
            arrived.extend(serve_slave(controller, channel("x_in")))
            return
        controller.hello(channel("x_out", gateway="router"), "master")
        for number in range(3):
            controller.send(message(f"E{number}", octets=len(MAIL)), MAIL)
        reports.extend(controller.expect(Report) for _ in range(3))
        controller.send(Stop())
        controller.rest()

    fifo = tmp_path / "r"
    os.mkfifo(fifo)
    with ControlSocket(tmp_path / "control.sock", play) as control:
        config = configuration(tmp_path, control.path)
        line = (
            f"PMDF_CHANNEL=x_out {sys.executable} -m {MASTER} <{fifo}"
            f" | PMDF_CHANNEL=x_in {sys.executable} -m {SLAVE} >{fifo}"
        )
        shell = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=ROOT,
            env={**os.environ, "JOBCTL_CONFIG": str(config)},
            capture_output=True,
            timeout=PATIENCE,
        )
        assert shell.returncode == 0, shell.stderr
        assert shell.stderr == b""
    assert [one.verdict.final for one in reports] == [True] * 3
    assert [content.endswith(b"\r\n" + MAIL) for _, _, content in arrived] == [True] * 3
    assert arrived[0][1].application == "SMTP/mail.example.org"


@pytest.mark.parametrize(
    "module, said",
    [(MASTER, b""), (SLAVE, b"421 4.3.2 Service not available, try again later\r\n"), (MAILDIR, b"")],
)
def test_no_daemon(tmp_path, module, said):
    """Without a daemon: 421 on a server's dialogue, one line that says what to do, exit status 75."""
    config = configuration(tmp_path, tmp_path / "nobody.sock")
    with Program(
        module, environment={"PMDF_CHANNEL": "x_in"}, arguments=["--config", str(config)], link=False
    ) as program:
        assert program.ends() == 75
        assert program.peer.rest() == said
        assert program.errors.count("\n") == 1
        assert "nobody.sock" in program.errors and "start it" in program.errors


def test_dead_socket(tmp_path):
    """A socket that nobody listens on any more is no daemon either."""
    path = tmp_path / "control.sock"
    control = ControlSocket(path)
    control.close()
    config = configuration(tmp_path, path)
    with Program(
        SLAVE, environment={"PMDF_CHANNEL": "x_in", "JOBCTL_CONFIG": str(config)}, link=False
    ) as program:
        assert program.ends() == 75
        assert program.peer.rest().startswith(b"421 4.3.2")


def test_unknown_channel(tmp_path):
    """A channel that is not configured: one line that names those that are, exit status 78, nothing said."""
    config = configuration(tmp_path, tmp_path / "nobody.sock")
    with Program(
        SLAVE, environment={"PMDF_CHANNEL": "x_typo", "JOBCTL_CONFIG": str(config)}, link=False
    ) as program:
        assert program.ends() == 78
        assert program.peer.rest() == b""
        assert program.errors.count("\n") == 1
        assert "x_typo" in program.errors and "x_in" in program.errors


@pytest.mark.parametrize(
    "text", ["nonsense", None, "[channel.l]\nofficial_host_name = 'a.example'\nbackof = 1\nx = 2\n"]
)
def test_bad_configuration(tmp_path, text):
    """A configuration that cannot be used: one line with file and key, exit status 78."""
    config = tmp_path / "bad.toml"
    if text is not None:
        config.write_text(text)
    with Program(MASTER, arguments=[f"--config={config}"], link=False) as program:
        assert program.ends() == 78
        assert program.errors.count("\n") == 1 and "bad.toml" in program.errors


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--config"], ["--config="], ["now"], ["--config", "a", "b"]]
)
def test_arguments(arguments):
    """It takes no arguments but --config: one line of usage, exit status 64."""
    with Program(MASTER, arguments=arguments, link=False) as program:
        assert program.ends() == 64
        assert program.errors.startswith("usage: PMDF_CHANNEL=")


def test_version():
    """--version says who it is."""
    with Program(MASTER, arguments=["--version"], link=False) as program:
        assert program.ends() == 0
        assert program.errors.startswith("test_smtp_master 0.")


@pytest.mark.parametrize(
    "refusal, status",
    [
        ({"text": "there is no channel x_in", "exit": 78}, 78),
        ({"text": "not now"}, 75),
        ({"text": "x", "exit": 0}, 75),
    ],
)
def test_refused_by_the_daemon(tmp_path, refusal, status):
    """What the daemon has against it is said in its words, with its exit status."""
    with ControlSocket(tmp_path / "control.sock", refuse=refusal) as control:
        config = configuration(tmp_path, control.path)
        with Program(
            MASTER, environment={"PMDF_CHANNEL": "x_in", "JOBCTL_CONFIG": str(config)}, link=False
        ) as program:
            assert program.ends() == status
            assert program.errors == refusal["text"] + "\n"


def test_make_is_no_controller(tmp_path):
    """Under make, descriptors 3 and 4 are make's own: that is still a run by hand."""
    config = configuration(tmp_path, tmp_path / "nobody.sock")
    environment = {
        "MAKEFLAGS": " -j2 --jobserver-auth=3,4",
        "JOBCTL_CONFIG": str(config),
        "PMDF_CHANNEL": "x_in",
    }
    with Program(MASTER, environment=environment) as program:
        assert program.ends() == 75
        assert "nobody.sock" in program.errors


def test_by_hand_with_scripted_peer(tmp_path):
    """By hand the master behaves as under the controller; announcements are frames; stop is obeyed."""
    heard = []

    def play(role, controller):
        assert role == "master"
        assert controller.expect(HelloProgram).name == "test_smtp_master"
        controller.hello(channel("x_out", gateway="router"), "master")
        controller.expect(Event, event="opened")
        controller.send(Stop())
        heard.extend(controller.rest())

    with ControlSocket(tmp_path / "control.sock", play) as control:
        config = configuration(tmp_path, control.path)
        with Program(
            MASTER, environment={"PMDF_CHANNEL": "x_out", "JOBCTL_CONFIG": str(config)}, link=False
        ) as program:
            program.peer.send(b"220 mx.example.net\r\n")
            program.peer.until(b"EHLO mail.example.org\r\n")
            program.peer.send(b"250 mx.example.net\r\n")
            assert program.peer.line() == b"QUIT\r\n"
            program.peer.send(b"221 bye\r\n")
            assert program.ends() == 0
    assert any(isinstance(frame, Event) and frame.event == "closed" for frame in heard)
