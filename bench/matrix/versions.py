"""Which versions were run: of each client what it says itself, of each server likewise."""

import argparse
import contextlib
import json
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.matrix import clients
from bench.matrix.servers import exim_program, opensmtpd_program


def versions(given: argparse.Namespace) -> list[str]:
    """A line for each client, then for each server, in their tables' order; nothing for what is not installed."""
    said = [line for program in clients.PROGRAMS for line in _says(program.version)]
    said = [f"Node.js {line}" if line.startswith("v") else line for line in said]
    said += _npm(given.modules, "nodemailer")
    said += _debian("postfix")
    said += _says([exim_program(given.unpacked), "-bV"])
    said += [line.removeprefix("version: ") for line in _says([opensmtpd_program(given.unpacked), "-h"])]
    with contextlib.suppress(PackageNotFoundError):
        said.append(f"aiosmtpd {version('aiosmtpd')}")
    return said + _debian("dovecot-core") + _npm(given.modules, "smtp-server")


def _says(command: list[str]) -> list[str]:
    """The first line without its remarks; what goes to standard error, such as warnings, comes last."""
    with contextlib.suppress(OSError):
        done = subprocess.run(command, capture_output=True, text=True)
        line = (done.stdout + done.stderr).strip().split("\n")[0]
        return [line.split(" (")[0].split(" #")[0][:60]]
    return []


def _debian(package: str) -> list[str]:
    with contextlib.suppress(OSError):
        words = ["dpkg-query", "-W", "-f", "${Package} ${Version}", package]
        done = subprocess.run(words, capture_output=True, text=True)
        return [done.stdout] if done.returncode == 0 else []
    return []


def _npm(modules: Path, package: str) -> list[str]:
    with contextlib.suppress(OSError):
        return [f"{package} {json.loads((modules / package / 'package.json').read_text())['version']} (npm)"]
    return []
