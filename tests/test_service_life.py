"""``twistd jobctl`` from the inside: its configuration, starting, the first message, stopping, what cannot start."""

import grp
import io
import os
import socket
import sys
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs
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

    def test_a_signal_before_the_start_is_over(self):
        """It is remembered: the daemon comes up with the file as it is then."""

        async def life():
            service = self.service()
            service._listen(reactor)
            service.hang_up()
            self.settings(PLAIN.replace("[channel.l]", "[mta]\nblock_limit = 7\n[channel.l]"))
            service._take(reactor)
            with capturedLogs() as events:
                await service._start(reactor)
                while not any(event.get("who") == "SIGHUP" for event in events):
                    await deferLater(reactor, 0.01)
            assert service.controller.settings.mta.block_limit == 7 * 1024
            await service.stopService()

        return ensureDeferred(life())

    def test_who_may_use_the_socket_changes_with_the_file(self):
        """Also for who is connected already; the socket's file goes to the group."""

        async def life():
            service = self.service()
            await self.start(service)
            place = service.settings.controller.control_socket
            client = await deferToThread(Client, place)
            group = grp.getgrgid(os.getegid()).gr_name
            more = f'[job_controller]\ncontrol_group = "{group}"\ncontrol_readers = ["{group}"]'
            self.settings(PLAIN.replace("[job_controller]", more))
            outcome = await deferToThread(client.call, "reload")
            assert outcome["applied"] and len(outcome["changes"]) == 2
            assert service._control.rights.group == os.getegid()
            assert service.settings is service.controller.settings
            (connection,) = service._control._connections
            assert connection.caller.rights == service._control.identify(connection.transport).rights
            assert os.stat(place).st_gid == os.getegid()
            with open(service.settings.path, "a") as file:
                file.write("[channel.x]\nnonsense = 1\n")
            outcome = await deferToThread(client.call, "reload")
            assert not outcome["applied"] and "channel.x.nonsense" in outcome["problems"][0]
            client.close()
            await service.stopService()

        return ensureDeferred(life())

    def test_systemd_is_told(self):
        """Ready, reloading, ready again, stopping."""

        async def life():
            name = f"jobctl-test-{os.getpid()}"
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
                systemd.bind("\0" + name)
                systemd.setblocking(False)
                os.environ["NOTIFY_SOCKET"] = "@" + name
                self.addCleanup(os.environ.pop, "NOTIFY_SOCKET", None)
                service = self.service()
                await self.start(service)
                await service.controller.reloads.reload("ann")
                await service.stopService()
                told = [systemd.recv(1000).decode().split("\n") for _ in range(4)]
            assert [lines[0] for lines in told] == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
            assert told[1][1].startswith("MONOTONIC_USEC=")

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
