"""What a program may use of the machine: set before it begins, for it and all it starts."""

import json
import os
import resource
import sys
from typing import Any

import pytest

from jobctl.config.loader import load_text
from jobctl.errors import ConfigError
from jobctl.jobprotocol.frames import Submit
from jobctl.jobs import child, limits
from jobctl.jobs.limits import limits_of
from tests.jobs_case import SupervisionCase
from tests.jobs_support import PROGRAMS, channel, spec

TELLS = f"""
import json, resource, sys
sys.path.insert(0, {PROGRAMS!r})
import wire
wire.hello()
names = ("DATA", "NOFILE", "CPU", "FSIZE")
told = {{name: resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in names}}
wire.say("submit", json.dumps(told).encode(), id="1")
wire.hear()
"""
ALL = {"limit_memory": 256, "limit_open_files": 64, "limit_cpu": 100.0, "limit_file_size": 2}
MIB = 1024 * 1024
EXPECTED = {
    "DATA": [256 * MIB, 256 * MIB],
    "NOFILE": [64, 64],
    "CPU": [100, 105],
    "FSIZE": [2 * MIB, 2 * MIB],
}


class LimitTests(SupervisionCase):
    async def told(self, **keys: Any) -> Any:
        self.supervisor()
        self.the.start(spec(sys.executable, "-c", TELLS, channel=channel(**keys)))
        await self.handler.until(lambda: bool(self.handler.said(Submit) or self.handler.ended))
        return json.loads(self.handler.frames[-1][1])

    async def test_all_of_them(self) -> None:
        """Memory, descriptors, CPU time and file size are as configured when the program begins."""
        self.assertEqual(await self.told(**ALL), EXPECTED)

    async def test_none(self) -> None:
        """Without a word in the configuration they are the daemon's."""
        told = await self.told()
        self.assertEqual(told["NOFILE"], list(resource.getrlimit(resource.RLIMIT_NOFILE)))

    async def test_where_prlimit_is_missing(self) -> None:
        """The substitute sets the same."""
        self.patch(child, "prlimit", lambda: None)
        self.assertEqual(await self.told(**ALL), EXPECTED)

    async def test_a_program_of_a_command_has_them_too(self) -> None:
        """The program that ``transport = "command:..."`` names runs within the limits of its channel."""
        self.supervisor()
        says = "import resource,sys; sys.stderr.write(str(resource.getrlimit(resource.RLIMIT_NOFILE)))"
        peer = os.path.join(self.directory, "peer.py")
        with open(peer, "w") as file:
            file.write(says)
        transport = f"command:{sys.executable} {peer}"
        self.the.start(
            spec(
                *(sys.executable, "-c", TELLS),
                channel=channel(transport=transport, limit_open_files=64),
            )
        )
        await self.handler.until(lambda: any("(64, 64)" in line for line in self.handler.logged))

    async def test_cpu_time(self) -> None:
        """A program that computes for ever is ended, and the reason is told."""
        self.supervisor()
        spins = f"import sys; sys.path.insert(0, {PROGRAMS!r})\nimport wire\nwire.hello()\nwhile True: pass"
        self.the.start(spec(sys.executable, "-c", spins, channel=channel(limit_cpu=1.0)))
        how = await self.end()
        self.assertEqual(how.text, "was killed by SIGXCPU")


def test_nobody_gets_more_than_we_have(monkeypatch):
    """A limit above our own is ours: prlimit would be refused it."""
    monkeypatch.setattr(limits.resource, "getrlimit", lambda which: (100, 200))
    assert limits_of(channel(limit_open_files=1000)) == (("nofile", 200, 200),)
    assert limits_of(channel(limit_open_files=150)) == (("nofile", 150, 150),)
    assert limits_of(channel(limit_cpu=198.0)) == (("cpu", 198, 200),)


CONFIGURATION = """
[job_controller.channel_class."tcp_*"]
master_command = "tcp_smtp_client"
limit_memory = 512
limit_open_files = 2000
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_local]
official_host_name = "tcp-daemon"
[channel.tcp_small]
official_host_name = "small-daemon"
limit_memory = 64
limit_cpu = "PT10M"
"""


def test_configuration():
    """A channel's own limit goes before that of its class."""
    settings = load_text(CONFIGURATION, "jobctl.toml", exists=lambda path: True)
    local, small = settings.channels["tcp_local"], settings.channels["tcp_small"]
    assert (local.limit_memory, local.limit_open_files, local.limit_cpu) == (512, 2000, None)
    assert (small.limit_memory, small.limit_open_files, small.limit_cpu) == (64, 2000, 600.0)
    assert settings.channels["l"].limit_memory is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("limit_memory = 64", "limit_memory = 3"),
        ("limit_open_files = 2000", "limit_open_files = 5"),
        ('limit_cpu = "PT10M"', "limit_cpu = 0"),
        ("limit_memory = 64", 'limit_memory = "much"'),
        ("limit_memory = 64", "limit_file_size = -1"),
    ],
)
def test_limits_under_which_nothing_could_run_are_refused(old, new):
    """Named with file, line and key."""
    with pytest.raises(ConfigError) as why:
        load_text(CONFIGURATION.replace(old, new), "jobctl.toml", exists=lambda path: True)
    (problem,) = why.value.problems
    assert problem.startswith("jobctl.toml:") and new.split()[0] in problem
