"""``twistd jobctl`` from the inside: its configuration, starting, the first message, stopping, what cannot start."""

import io
import os
import sys
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from jobctl.control.client import Client
from jobctl.errors import JobctlError, StoreError
from jobctl.service import JobctlService, Options, makeService, settings_for
from jobctl.welcome import Welcome
from tests.controller_case import CONFIGURATION, World

PLAIN = """
[job_controller]
queue_directory = "queue"
control_socket = "control.sock"
log_directory = "log"
[channel.l]
official_host_name = "mail.example.org"
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOBCTL_CONFIG", "")
    return tmp_path


def test_the_configuration_that_is_found(place, monkeypatch):
    """The option, else JOBCTL_CONFIG, else ./jobctl.toml, else the built-in one."""
    assert settings_for(None).local_host == "mail.example.org"
    monkeypatch.setenv("JOBCTL_CONFIG", "")
    for number, name in enumerate(("jobctl.toml", "variable.toml", "option.toml")):
        (place / name).write_text(PLAIN.replace("mail.", f"m{number}."))
    assert settings_for(None).local_host == "m0.example.org"
    assert os.environ["JOBCTL_CONFIG"] == str(place / "jobctl.toml"), "programs find the same"
    monkeypatch.setenv("JOBCTL_CONFIG", "variable.toml")
    assert settings_for(None).local_host == "m1.example.org"
    assert settings_for("option.toml").local_host == "m2.example.org"


def test_a_wrong_configuration_ends_it_with_every_mistake(place, capsys):
    """Exit status 78, one line each, nothing started."""
    (place / "wrong.toml").write_text("[channel.l]\nnonsense = 1\n[mta]\nblock_limit = -1\n")
    options = Options()
    options.parseOptions(["--config", "wrong.toml"])
    with pytest.raises(SystemExit) as why:
        makeService(options)
    assert why.value.code == os.EX_CONFIG
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 2 and all(line.startswith("jobctl: wrong.toml:") for line in lines)


def test_the_service_that_is_made(place):
    """With the options given."""
    (place / "jobctl.toml").write_text(PLAIN)
    options = Options()
    options.parseOptions(["--first-message"])
    service = makeService(options)
    assert isinstance(service, JobctlService) and service.settings.local_host == "mail.example.org"


class Life(TestCase):
    """With the real reactor."""

    def setUp(self) -> None:
        environment = dict(os.environ)
        self.addCleanup(os.environ.update, environment)
        self.directory = os.path.realpath(self.mktemp())
        os.makedirs(self.directory)

    def settings(self, text: str = PLAIN) -> Any:
        path = os.path.join(self.directory, "jobctl.toml")
        with open(path, "w") as file:
            file.write(text)
        return settings_for(path)

    def service(self, text: str = PLAIN, **more: Any) -> JobctlService:
        return JobctlService(self.settings(text), **more)

    async def start(self, service: JobctlService) -> None:
        service._listen(reactor)
        service._take(reactor)
        await service._start(reactor)

    def test_start_and_stop(self):
        """It answers at its control socket, and lets go of everything."""

        async def life():
            service = self.service()
            await self.start(service)
            place = service.settings.controller.control_socket

            def ask():
                with Client(place) as client:
                    return client.call("ping")

            assert await deferToThread(ask) == "jobctl"
            await service.stopService()
            assert not os.path.exists(place)

        return ensureDeferred(life())

    def test_two_on_one_queue(self):
        """The second cannot start, the first goes on; both can be stopped."""

        async def life():
            first, second = self.service(), self.service(PLAIN.replace("control.sock", "other.sock"))
            await self.start(first)
            with pytest.raises(StoreError):
                await self.start(second)
            await second.stopService()
            await first.stopService()

        return ensureDeferred(life())

    def test_a_control_socket_that_cannot_be_had(self):
        """The queue is let go all the same."""

        async def life():
            place = os.path.join(self.directory, "control.sock")
            with open(place, "w"):
                service = self.service()
            with pytest.raises(JobctlError):
                await self.start(service)
            await service.stopService()
            os.unlink(place)
            again = self.service()
            await self.start(again)
            await again.stopService()

        return ensureDeferred(life())

    def test_a_first_message_that_fails_is_only_a_pity(self):
        """The daemon goes on, and says what went wrong."""

        async def life():
            text = PLAIN + (
                '[channel.test_smtp_out]\nofficial_host_name = "out"\ndaemon = "gate.example"\n'
                'transport = "tcp"\nmaster_command = "master"\nsmtp = true\nblocklimit = 0\n'
            )
            service = self.service(text, first_message=True)
            out = io.StringIO()
            self.patch(sys, "__stdout__", out)
            await self.start(service)
            assert "could not be sent" in out.getvalue()
            await service.stopService()

        return ensureDeferred(life())

    def test_stopped_before_it_began(self):
        """Nothing to be stopped."""
        return self.service().stopService()


# The first message.


def welcome(world: World) -> tuple[Any, io.StringIO]:
    out = io.StringIO()
    return ensureDeferred(Welcome(world.controller, out).show()), out


def test_the_first_message_is_shown():
    """Through the generic channel, with its dialogue, and how to go on."""
    world = World()
    showing, out = welcome(world)
    job = world.job(run=True)
    assert job.spec.channel.name == "gate"
    world.controller.handler.job_logged(job, "S: 220 hello")
    (frame,) = job.assigned
    job.report(frame.id, "relayed")
    world.turn()
    job.end()
    world.turn()
    world.do(showing)
    text = out.getvalue()
    assert "  | S: 220 hello\n" in text and "Delivered: 1, deferred: 0, failed: 0." in text
    assert "jobctl enqueue" in text
    assert not world.supervisor.asked


def test_the_first_message_leaves_a_stopped_channel_stopped():
    """An operator has stopped it: it is tried once in sight, and stays stopped."""
    world = World()
    world.do(world.store.set_stopped("gate", True, "ann"))
    world.scheduler.stop("gate")
    showing, _ = welcome(world)
    job = world.job(run=True)
    job.report(job.assigned[0].id, "deferred", "450 later", retry=0.0)
    world.turn()
    job.end()
    world.turn()
    world.do(showing)
    world.turn(5000)
    assert not world.supervisor.asked


def test_without_a_generic_channel_nothing_is_sent():
    """Only how to go on is said, with where mail comes in and lands."""
    text = CONFIGURATION.replace('transport = "tcp"\n', "").replace(
        "[rewrite]",
        '[channel.md]\nofficial_host_name = "md"\nmaildir = "Maildir"\n'
        "[dispatcher.service.SMTP]\nlisten = "
        '["tcp:0:interface=127.0.0.1"]\nchannel = "in"\n[rewrite]',
    )
    world = World(configuration=text)
    showing, out = welcome(world)
    world.do(showing)
    assert not world.queued()
    assert "Mail of channel md lands in" in out.getvalue()
    assert "--server 127.0.0.1:0" in out.getvalue()
    world.close()
