"""Clients of others, each as a command that sends one message to our server."""

import email
import json
import os
import shutil
import smtplib
import ssl
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.matrix.mail import BODY, content

MODES = ("plain", "STARTTLS", "TLS", "AUTH")


class Target(msgspec.Struct, frozen=True):
    """
    A server of ours, and how to speak to it.

    :ivar mode: ``plain``, ``STARTTLS``, ``TLS`` (from the first octet) or ``AUTH`` (under STARTTLS).
    """

    port: int
    mode: str
    ca: str
    user: str
    password: str
    modules: str  # where npm packages are


class Impossible(Exception):
    """The client cannot do that; the text says why."""


def _run(command: list[str], octets: bytes = b"", **environment: str) -> None:
    done = subprocess.run(
        command, input=octets, capture_output=True, timeout=60, env={**os.environ, **environment}, check=False
    )
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr).decode(errors="replace").strip()[-300:])


def _file(octets: bytes) -> str:
    with tempfile.NamedTemporaryFile(delete=False) as made:
        made.write(octets)
    return made.name


def swaks(target: Target, mark: str) -> None:
    path = _file(content(mark).replace(b"\r\n", b"\n"))
    words = [
        "swaks",
        "--server",
        f"127.0.0.1:{target.port}",
        "--from",
        "ann@example.org",
        "--data",
        f"@{path}",
    ]
    words += ["--to", "bob@mail.example.org"]
    words += {"plain": [], "STARTTLS": ["-tls"], "TLS": ["-tlsc"], "AUTH": ["-tls"]}[target.mode]
    if target.mode == "AUTH":
        words += ["--auth", "PLAIN", "--auth-user", target.user, "--auth-password", target.password]
    _run(words)


def curl(target: Target, mark: str) -> None:
    scheme = "smtps" if target.mode == "TLS" else "smtp"
    words = ["curl", "-sS", f"{scheme}://127.0.0.1:{target.port}/c.example", "--mail-from", "ann@example.org"]
    words += ["--mail-rcpt", "bob@mail.example.org", "--upload-file", _file(content(mark))]
    if target.mode != "plain":
        words += ["--ssl-reqd", "--cacert", target.ca]
    if target.mode == "AUTH":
        words += ["--user", f"{target.user}:{target.password}"]
    _run(words)


def msmtp(target: Target, mark: str) -> None:
    words = ["msmtp", "--host=127.0.0.1", f"--port={target.port}", "--from=ann@example.org"]
    if target.mode != "plain":
        words += ["--tls=on", f"--tls-trust-file={target.ca}"]
        words += [f"--tls-starttls={'off' if target.mode == 'TLS' else 'on'}"]
    if target.mode == "AUTH":
        words += ["--auth=on", f"--user={target.user}", f"--passwordeval=echo {target.password}"]
    _run([*words, "bob@mail.example.org"], content(mark).replace(b"\r\n", b"\n"))


def standard_library(target: Target, mark: str) -> None:
    context = ssl.create_default_context(cafile=target.ca)
    if target.mode == "TLS":
        client: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", target.port, timeout=30, context=context)
    else:
        client = smtplib.SMTP("127.0.0.1", target.port, timeout=30)
    with client:
        if target.mode in ("STARTTLS", "AUTH"):
            client.starttls(context=context)
        if target.mode == "AUTH":
            client.login(target.user, target.password)
        client.sendmail("ann@example.org", ["bob@mail.example.org"], content(mark), ["BODY=8BITMIME"])


_NODE = """
const given = JSON.parse(process.argv[1]);
const fs = require('fs');
const options = { host: '127.0.0.1', port: given.port, secure: given.mode === 'TLS',
  requireTLS: given.mode === 'STARTTLS' || given.mode === 'AUTH', ignoreTLS: given.mode === 'plain' };
if (given.mode !== 'plain') options.tls = { ca: [fs.readFileSync(given.ca)], servername: 'mail.example.org' };
if (given.mode === 'AUTH') options.auth = { user: given.user, pass: given.password };
require('nodemailer').createTransport(options).sendMail({
  envelope: { from: 'ann@example.org', to: ['bob@mail.example.org'] }, raw: fs.readFileSync(given.file) },
  (why) => { if (why) { console.error(String(why)); process.exit(1); } process.exit(0); });
"""


def nodemailer(target: Target, mark: str) -> None:
    if not (Path(target.modules) / "nodemailer").is_dir():
        raise FileNotFoundError("npm package nodemailer")
    given = {**msgspec.to_builtins(target), "file": _file(content(mark))}
    _run(["node", "-e", _NODE, json.dumps(given)], NODE_PATH=target.modules)


def git_send_email(target: Target, mark: str) -> None:
    head, _, _ = content(mark).replace(b"\r\n", b"\n").partition(b"\n\n")
    fields = email.message_from_bytes(head)
    body = BODY.replace(b"\r\n", b"\n")
    patch = (
        b"From 0000 Mon Sep 17 00:00:00 2001\nFrom: %b\nDate: %b\nSubject: %b\nMIME-Version: 1.0\n"
        % tuple(fields[name].encode() for name in ("From", "Date", "Subject"))
    )
    patch += b"Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n" + body
    words = [
        "git",
        "-c",
        "user.name=Ann",
        "-c",
        "user.email=ann@example.org",
        "send-email",
        "--quiet",
        "--confirm=never",
        "--suppress-cc=all",
        "--no-thread",
        "--no-validate",
    ]
    words += ["--transfer-encoding=8bit", "--from=ann@example.org", "--to=bob@mail.example.org"]
    words += ["--smtp-server=127.0.0.1", f"--smtp-server-port={target.port}", "--smtp-domain=c.example"]
    if target.mode != "plain":
        words += [f"--smtp-encryption={'ssl' if target.mode == 'TLS' else 'tls'}"]
        words += [f"--smtp-ssl-cert-path={target.ca}"]
    if target.mode == "AUTH":
        words += [f"--smtp-user={target.user}", f"--smtp-pass={target.password}"]
    _run([*words, _file(patch)], HOME="/nonexistent", GIT_CONFIG_NOSYSTEM="1")


def openssl(target: Target, mark: str) -> None:
    if target.mode == "plain":
        raise Impossible("it speaks TLS only")
    import base64

    words = ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{target.port}", "-CAfile", target.ca]
    words += ["-verify_return_error"] + ([] if target.mode == "TLS" else ["-starttls", "smtp"])
    secret = base64.b64encode(f"\0{target.user}\0{target.password}".encode())
    dialogue = b"EHLO c.example\r\n" + (b"AUTH PLAIN " + secret + b"\r\n" if target.mode == "AUTH" else b"")
    dialogue += b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@mail.example.org>\r\nDATA\r\n"
    stuffed = (b"\r\n" + content(mark)).replace(b"\r\n.", b"\r\n..")[2:]
    _run(words, dialogue + stuffed + b".\r\nQUIT\r\n")


class Program(msgspec.Struct, frozen=True):
    """
    :ivar needs: The program that must be there.
    :ivar only_body: It makes the header itself.
    :ivar adds: It puts this behind every content.
    """

    name: str
    needs: str
    send: Callable[[Target, str], None]
    version: list[str]
    only_body: bool = False
    adds: bytes = b""


PROGRAMS = (
    Program("swaks", "swaks", swaks, ["swaks", "--version"], adds=b"\r\n"),
    Program("curl", "curl", curl, ["curl", "--version"]),
    Program("msmtp", "msmtp", msmtp, ["msmtp", "--version"]),
    Program("smtplib (Python)", "python3", standard_library, ["python3", "--version"]),
    Program("nodemailer (npm)", "node", nodemailer, ["node", "--version"]),
    Program("git send-email", "git", git_send_email, ["git", "--version"], only_body=True),
    Program("openssl s_client", "openssl", openssl, ["openssl", "version"]),
)


def missing(program: Program) -> bool:
    """Whether it is not installed."""
    return shutil.which(program.needs) is None
