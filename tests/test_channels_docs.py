"""The example of docs/channel-programs.md, run as it is printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobctl.jobprotocol.frames import Ask, Message, Report, Stop
from jobctl.mail.disposition import Verdict
from tests.kit_support import ROOT, Program, channel, message

MAIL = b"Subject: test\r\n\r\nHello\r\n"


@pytest.fixture
def example(tmp_path):
    """The example as a module."""
    text = (Path(ROOT) / "docs" / "channel-programs.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "archive_example.py").write_text(code)
    return {"PYTHONPATH": f"{tmp_path}:{ROOT}", "ARCHIVE_FILE": str(tmp_path / "archive")}


def test_archive(example, tmp_path):
    """Messages, whole and in pieces, are in the file when they are reported; stop ends it."""
    with Program("archive_example", environment=example) as program:
        program.controller.hello(channel(), "master")
        assert program.controller.expect(Ask).n == 10
        program.controller.send(message("E1", octets=len(MAIL)), MAIL)
        assert program.controller.expect(Report).verdict is Verdict.DELIVERED
        program.controller.send(message("E2", octets=2 * len(MAIL), more=True), MAIL)
        program.controller.send(Message(id="E2"), MAIL)
        assert program.controller.expect(Report).id == "E2"
        assert (
            tmp_path / "archive"
        ).read_bytes() == b"From E1\r\n" + MAIL + b"\r\nFrom E2\r\n" + MAIL + MAIL + b"\r\n"
        program.controller.send(Stop())
        assert program.ends() == 0 and program.errors == ""


def test_full_disk(example):
    """A full disk defers."""
    with Program("archive_example", environment={**example, "ARCHIVE_FILE": "/dev/full"}) as program:
        program.controller.hello(channel(), "master")
        program.controller.send(message("E1", octets=len(MAIL)), MAIL)
        report = program.controller.expect(Report)
        assert (report.verdict, report.status) == (Verdict.DEFERRED, "4.3.1")


def test_not_configured(example):
    """What it needs and has not is one line and exit status 78."""
    with Program("archive_example", environment={**example, "ARCHIVE_FILE": None}) as program:
        program.controller.hello(channel(), "master")
        assert program.ends() == 78 and "ARCHIVE_FILE" in program.errors


@pytest.mark.parametrize(
    "module", ["channels.test_smtp_master", "channels.test_smtp_slave", "channels.maildir_master"]
)
def test_no_reactor(module):
    """The programs on a few descriptors start without Twisted."""
    code = (
        f"import sys, {module}; sys.exit(any(name.startswith(('twisted', 'zope')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
