"""``test_smtp_master`` and ``test_smtp_slave`` back to back, by ``transport = "channel:..."``."""

import argparse
from pathlib import Path

from bench.matrix.cells import BASE, IN, PASSWORD, USER, Matrix
from bench.matrix.clients import MODES
from bench.matrix.mail import content, difference
from bench.peers import free_port
from jobctl.sasl.secrets import scram_keys, scram_line
from tests.certificates import Authority
from tests.daemon import Daemon, until

_ROW = "`test_smtp_master` to `test_smtp_slave`"
_OUT = """
[channel.test_smtp_{name}]
official_host_name = "test-smtp-{name}"
smtp = true
daemon = "mail.example.org"
transport = "channel:test_smtp_{slave}"
tls_policy = "{policy}"
implicit_tls = {implicit}
tls_ca_file = "{ca}"
{more}"""


def joined(folder: Path, given: argparse.Namespace) -> Matrix:
    """Each way of talking, to a Maildir of ours."""
    authority = Authority(folder)
    certificate = authority.issue("mail.example.org")
    (folder / "users").write_text(f"{USER}:{scram_line(scram_keys(PASSWORD, iterations=4096))}\n")
    (folder / "secret").write_text(f"{PASSWORD}\n")
    text, routes = BASE, '[rewrite]\n"mail.example.org" = "maildir"\n'
    for name, implicit in (("in", "false"), ("tls_in", "true")):
        # A slave has certificate and users of the service that names its channel.
        text += IN.format(
            name=f"test_smtp_{name}", port=free_port(), certificate=certificate, implicit=implicit
        )
    for mode in MODES:
        name = mode.lower()
        text += _OUT.format(
            name=name,
            slave="tls_in" if mode == "TLS" else "in",
            policy="none" if mode == "plain" else "verify",
            implicit="true" if mode == "TLS" else "false",
            ca=authority.file,
            more=f'auth_username = "{USER}"\nauth_password_file = "secret"\n' if mode == "AUTH" else "",
        )
        routes += f'"{name}.example" = "$U%mail.example.org@test-smtp-{name}"\n'
    matrix = Matrix()
    with Daemon(folder, text + routes) as daemon:
        for mode in MODES:
            matrix.put(_ROW, mode, _carried(daemon, folder, mode.lower()))
    return matrix


def _carried(daemon: Daemon, folder: Path, name: str) -> str:
    mark = f"joined-{name}"
    (folder / mark).write_bytes(content(mark))
    done = daemon.command(
        "enqueue", "--from", "ann@example.org", "--to", f"bob@{name}.example", str(folder / mark)
    )
    if done.returncode:
        return done.stderr.strip()
    box = folder / "Maildir/new"

    def landed() -> bytes | None:
        found = (path.read_bytes() for path in box.glob("*"))
        return next((octets for octets in found if f"Subject: {mark}".encode() in octets), None)

    try:
        return difference(mark, until(landed, 30, "it did not arrive"))
    except AssertionError:
        rows = [row["last_reply"] for row in daemon.json("qm", "directory", f"test_smtp_{name}")]
        return next(iter(rows), "") or "it did not arrive"
