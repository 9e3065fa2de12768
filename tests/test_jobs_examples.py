"""The programs printed in docs/job-protocol.md work as they stand there."""

import os
import re
import subprocess
from typing import Any

from jobctl.jobprotocol.frames import Report
from tests.jobs_case import SupervisionCase
from tests.jobs_support import message

DOCUMENT = os.path.join(os.path.dirname(__file__), "..", "docs", "job-protocol.md")


class ExampleTests(SupervisionCase):
    def example(self, language: str) -> str:
        """The example of a language as an executable file."""
        with open(DOCUMENT, encoding="utf-8") as file:
            found = re.search(rf"^```{language}\n(#!.*?)^```$", file.read(), re.M | re.S)
        assert found is not None
        path = os.path.join(self.directory, language)
        with open(path, "w") as program:
            program.write(found[1])
        os.chmod(path, 0o755)
        return path

    async def reports(self, *argv: str) -> list[Any]:
        """What the program makes of a small message and of a large one, both of two recipients."""
        self.supervisor()
        job = await self.started(*argv)
        for id, content in (("small", b"Hi\r\n"), ("large", b"x" * 700_000)):
            held = message(id, "ann@a.example", "bob@b.example", octets=len(content))
            job.assign(held, content)
        await self.handler.until(lambda: len(self.handler.said(Report)) == 2 or bool(self.handler.ended))
        job.stop()
        how = await self.end()
        self.assertEqual(how.text, "exited with status 0 after it was told to stop")
        self.job = job
        return self.handler.said(Report)

    async def test_shell(self) -> None:
        """The shell example hands content to a command, and defers when that fails."""
        copy = os.path.join(self.directory, "copy")
        reports = await self.reports(
            self.example("sh"), "sh", "-c", 'cat >>"$0"; [ ! "$(wc -c <"$0")" = 4 ]', copy
        )
        self.assertEqual([report.verdict for report in reports], ["deferred", "delivered"])
        with open(copy, "rb") as file:
            self.assertEqual(file.read(), b"Hi\r\n" + b"x" * 700_000)

    async def test_python(self) -> None:
        """The Python example stores content whole, and announces it first."""
        reports = await self.reports(self.example("python"), self.directory)
        self.assertEqual([report.verdict for report in reports], ["delivered", "delivered"])
        with open(os.path.join(self.directory, "large"), "rb") as file:
            self.assertEqual(file.read(), b"x" * 700_000)
        self.assertEqual(self.job.journal.announced(), {("small", 1), ("large", 1)})

    async def test_perl(self) -> None:
        """The Perl example gives each recipient a verdict of its own."""
        self.supervisor()
        if subprocess.run(["perl", "-MJSON::PP", "-e", "1"], capture_output=True).returncode:
            self.skipTest("perl with JSON::PP is not installed")
        reports = await self.reports(self.example("perl"))
        self.assertEqual(
            [[(d.recipient[:3], d.verdict.value) for d in report.results] for report in reports],
            [[("ann", "deferred"), ("bob", "deferred")], [("ann", "failed"), ("bob", "failed")]],
        )
