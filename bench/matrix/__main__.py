"""
``python -m bench.matrix [--write] [--only PART] [--unpacked FOLDER] [--modules FOLDER]``: clients of others against
our servers, our clients against servers of others, and our generic programs joined to each other; in the clear, with
STARTTLS, with TLS from the first octet, with AUTH; each message compared octet for octet. ``--write`` writes
docs/peers.md.

What is not installed is said in the table. Packages that cannot be installed beside Postfix can be unpacked
(``dpkg -x``) into the folder given; npm's ``node_modules`` likewise. Postfix, Exim, OpenSMTPD and Dovecot need root.
OpenSMTPD must be of version 7 (docs/peers.md says why): build it, and link ``smtpd`` into ``usr/sbin`` of that folder.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.matrix import clients, servers
from bench.matrix.cells import BASE, IN, KINDS, OUT, PASSWORD, USER, Matrix
from bench.matrix.clients import MODES, Impossible, Target
from bench.matrix.joined import joined
from bench.matrix.mail import content, difference
from bench.matrix.versions import versions
from bench.peers import free_port
from jobctl.sasl.secrets import scram_keys, scram_line
from tests.certificates import Authority
from tests.daemon import Daemon, until

PAGE = Path(__file__).parent.parent.parent / "docs/peers.md"


def incoming(folder: Path, given: argparse.Namespace) -> Matrix:
    """Clients of others, our servers, a Maildir of ours."""
    authority = Authority(folder)
    certificate = authority.issue("mail.example.org", "127.0.0.1")
    (folder / "users").write_text(f"{USER}:{scram_line(scram_keys(PASSWORD, iterations=4096))}\n")
    text, ports = BASE, dict[tuple[str, bool], int]()
    for prefix in KINDS.values():
        for implicit in (False, True):
            port = ports[prefix, implicit] = free_port()
            name = f"{prefix}_{'tls' if implicit else 'in'}"
            text += IN.format(
                name=name, port=port, certificate=certificate, implicit="true" if implicit else "false"
            )
    matrix = Matrix()
    box = folder / "Maildir/new"
    with Daemon(folder, text + '[rewrite]\n"mail.example.org" = "maildir"\n') as daemon:
        for program in clients.PROGRAMS:
            for kind, prefix in KINDS.items():
                for mode in MODES:
                    port = ports[prefix, mode == "TLS"]
                    target = Target(port, mode, str(authority.file), USER, PASSWORD, str(given.modules))
                    mark = f"in-{program.name.split()[0]}-{prefix}-{mode}".lower().replace("_", "-")
                    matrix.put(program.name, f"{mode}, {kind}", _sent(program, target, mark, box, daemon))
    return matrix


def _sent(program: clients.Program, target: Target, mark: str, box: Path, daemon: Daemon) -> str:
    if clients.missing(program):
        return "not installed"
    try:
        program.send(target, mark)
        landed = until(lambda: _with_mark(box, mark), 20, "")
    except FileNotFoundError as why:
        return f"not installed: {why}"
    except Impossible:
        return "-"
    except (AssertionError, RuntimeError, OSError, subprocess.SubprocessError) as why:
        return f"{type(why).__name__}: {why}".replace("\n", " ")[:300] or "it did not arrive"
    return difference(mark, landed, program.only_body, program.adds)


def _with_mark(box: Path, mark: str) -> bytes | None:
    found = [octets for path in box.glob("*") if f"Subject: {mark}".encode() in (octets := path.read_bytes())]
    return found[0] if len(found) == 1 else None


def outgoing(folder: Path, given: argparse.Namespace) -> Matrix:
    """Our clients, servers of others and where they keep what they took."""
    authority = Authority(folder)
    certificate = authority.issue("mail.example.org", "127.0.0.1")
    (folder / "secret").write_text(f"{PASSWORD}\n")
    matrix = Matrix()
    for number, (name, begin) in enumerate(servers.SERVERS.items()):
        place = folder / f"peer{number}"
        place.mkdir()
        place.chmod(0o755)
        where = servers.Surroundings(place, certificate, USER, PASSWORD, given.unpacked, given.modules)
        columns = [f"{mode}, {kind}" for kind in KINDS for mode in MODES]
        try:
            with begin(where) as peer:
                _to(matrix, name, number, peer, folder, authority)
        except FileNotFoundError as why:
            for column in columns:
                matrix.put(name, column, f"not installed: {why}")
        except (RuntimeError, OSError, subprocess.SubprocessError, SystemExit) as why:
            for column in columns:
                matrix.put(name, column, f"it does not run: {why}".replace("\n", " ")[:300])
    return matrix


def _to(
    matrix: Matrix, name: str, number: int, peer: servers.Ports, folder: Path, authority: Authority
) -> None:
    text, routes = BASE, "[rewrite]\n"
    cells: list[tuple[str, str, str]] = []
    for kind, prefix in KINDS.items():
        for mode in MODES:
            port = peer.tls if mode == "TLS" else peer.clear
            if (mode == "AUTH" and not peer.auth) or not port:
                continue
            channel = f"{prefix}_{mode.lower()}"
            more = "lmtp = true\n" if peer.lmtp else ""
            if mode == "AUTH":
                more += f'auth_username = "{USER}"\nauth_password_file = "secret"\n'
            text += OUT.format(
                name=channel,
                port=port,
                policy="none" if mode == "plain" else "verify",
                implicit="true" if mode == "TLS" else "false",
                ca=authority.file,
                more=more,
            )
            host = f"{channel.replace('_', '-')}.example"
            # The peer is to take it for one of its own, whatever the host was that led here.
            routes += f'"{host}" = "$U%mail.example.org@{channel}-daemon"\n'
            cells.append((f"{mode}, {kind}", host, f"out-{number}-{host.split('.')[0]}"))
    home = folder / f"ours{number}"
    home.mkdir()
    (home / "secret").write_text(f"{PASSWORD}\n")
    with Daemon(home, text + routes) as daemon:
        for _, host, mark in cells:
            (home / mark).write_bytes(content(mark))
            done = daemon.command(
                "enqueue", "--from", "ann@example.org", "--to", f"bob@{host}", str(home / mark)
            )
            if done.returncode:
                raise RuntimeError(done.stderr)
        end = time.monotonic() + 40
        found: dict[str, bytes] = {}
        while len(found) < len(cells) and time.monotonic() < end:
            taken = peer.taken()
            for _, _, mark in cells:
                arrived = [octets for octets in taken if f"Subject: {mark}".encode() in octets]
                if arrived:
                    found[mark] = arrived[0]
            time.sleep(0.1)
        rows: list[dict[str, Any]] = daemon.json("qm", "directory")
        tls_works = not peer.tls or _shakes_hands(peer.tls)
        for column, host, mark in cells:
            if mark not in found and not tls_works and not column.startswith("plain"):
                matrix.put(name, column, "its TLS fails with openssl s_client too")
            elif mark in found:
                matrix.put(name, column, difference(mark, found[mark]))
            else:
                why = next(
                    (
                        row["last_reply"]
                        for row in rows
                        if host.split(".")[0] in row["channel"].replace("_", "-")
                    ),
                    "",
                )
                matrix.put(name, column, why or "it did not arrive")
    for column in (f"{mode}, {kind}" for kind in KINDS for mode in MODES):
        if column not in matrix.cells.get(name, {}):
            matrix.put(name, column, "-")


def _shakes_hands(port: int) -> bool:
    """Whether a server's TLS works at all."""
    words = ["openssl", "s_client", "-brief", "-connect", f"127.0.0.1:{port}"]
    done = subprocess.run(words, input=b"QUIT\r\n", capture_output=True, timeout=20)
    return b" alert " not in done.stderr


HEADER = """\
# Clients and servers of others

Written by `python -m bench.matrix --write`. Every message has lines that begin with dots, a lone dot, octets above 127,
trailing blanks, empty lines, a line of 900 octets, and commands in its text. *same*: it arrived octet for octet behind
the trace fields; *-*: the program cannot do that, so nothing was tried. AUTH is under STARTTLS; our clients verify
certificates. tcp: `tcp_smtp_server`, `tcp_smtp_client`; generic: `test_smtp_slave`, `test_smtp_master`, each joined to
TCP by the bridge. swaks puts an empty line behind every content, git makes the header: that much is not compared.
All certificates have EC keys (P-256).

OpenSMTPD is built from its source: the 6.8 of Debian 12 cannot do TLS, because what keeps its keys in a process of
their own fails with OpenSSL 3; openssl s_client is refused there too.
"""


PARTS: dict[str, tuple[str, str, Callable[[Path, argparse.Namespace], Matrix]]] = {
    "in": ("Their clients, our servers", "client", incoming),
    "out": ("Our clients, their servers", "server", outgoing),
    "joined": ("Our generic programs joined to each other by the bridge", "", joined),
}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.matrix", description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--unpacked", type=Path, default=Path("/nonexistent"))
    parser.add_argument("--modules", type=Path, default=Path("/usr/lib/node_modules"))
    parser.add_argument("--only", choices=list(PARTS))
    given = parser.parse_args()
    lines = [HEADER]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        for part, (heading, title, make) in PARTS.items():
            if given.only in (None, part):
                place = Path(folder) / part
                place.mkdir()
                lines += [f"## {heading}\n", *make(place, given).lines(title), ""]
    lines += ["## What was run\n", *(f"* {one}" for one in versions(given))]
    page = "\n".join(lines) + "\n"
    if given.write:
        PAGE.write_text(page)
    print(page)


if __name__ == "__main__":
    main()
