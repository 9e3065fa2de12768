"""Servers of others, each on a free port of loopback in a folder of its own, until they are closed."""

import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from bench.peers import await_port, free_port, postfix_with


class Ports(msgspec.Struct):
    """
    Where a server listens: ``clear`` (with STARTTLS and AUTH) and ``tls``; 0 where it cannot.

    :ivar taken: All contents that it has taken so far.
    :ivar lmtp: It speaks LMTP; ``auth``: it can check passwords.
    """

    clear: int
    tls: int
    taken: Callable[[], list[bytes]]
    lmtp: bool = False
    auth: bool = False
    starttls: bool = True


class Surroundings(msgspec.Struct, frozen=True):
    """What servers are given: a folder, a certificate with its key, a user, where unpacked packages and npm's are."""

    folder: Path
    certificate: Path
    user: str
    password: str
    unpacked: Path
    modules: Path


def mailbox(folder: Path) -> Callable[[], list[bytes]]:
    """What lies in Maildirs below a folder."""
    return lambda: [path.read_bytes() for path in folder.rglob("new/*") if path.is_file()]


@contextlib.contextmanager
def running(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the foreground, and its end."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env={**os.environ, **environment}, start_new_session=True
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(SystemExit):
            await_port(port, 0.3)
            return
    raise RuntimeError(log.read_text(errors="replace").strip()[-300:] or "it does not answer")


@contextlib.contextmanager
def aiosmtpd(where: Surroundings) -> Iterator[Ports]:
    """In threads of ours."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    taken: list[bytes] = []

    class Keep:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            taken.append(bytes(envelope.content))
            return "250 2.0.0 taken"

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(
            success=(data.login, data.password) == (where.user.encode(), where.password.encode())
        )

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(where.certificate)
    clear = Controller(
        Keep(), "127.0.0.1", free_port(), tls_context=context, authenticator=check, data_size_limit=0
    )
    tls = Controller(Keep(), "127.0.0.1", free_port(), ssl_context=context)
    clear.start()
    tls.start()
    try:
        yield Ports(clear.port, tls.port, lambda: taken, auth=True)
    finally:
        clear.stop()
        tls.stop()


_NODE = """
const given = JSON.parse(process.argv[1]);
const fs = require('fs');
const { SMTPServer } = require('smtp-server');
const pem = fs.readFileSync(given.certificate);
let count = 0;
function server(secure, port) {
  new SMTPServer({ secure, key: pem, cert: pem, authOptional: true, disableReverseLookup: true, logger: false,
    onAuth(auth, session, done) {
      if (auth.username === given.user && auth.password === given.password) done(null, { user: given.user });
      else done(new Error('no')); },
    onData(stream, session, done) {
      const parts = [];
      stream.on('data', (part) => parts.push(part));
      stream.on('end', () => {
        const name = given.folder + '/new/' + (count++) + '.' + port;
        fs.writeFileSync(name + '.part', Buffer.concat(parts));
        fs.renameSync(name + '.part', name); done(); }); },
  }).listen(port, '127.0.0.1');
}
server(false, given.clear); server(true, given.tls);
"""


@contextlib.contextmanager
def smtp_server(where: Surroundings) -> Iterator[Ports]:
    """The npm package of nodemailer's author."""
    if not (where.modules / "smtp-server").is_dir():
        raise FileNotFoundError("npm package smtp-server")
    (where.folder / "new").mkdir()
    given = {"certificate": str(where.certificate), "user": where.user, "password": where.password}
    clear, tls = free_port(), free_port()
    given |= {"folder": str(where.folder), "clear": clear, "tls": tls}  # type: ignore[dict-item]
    log = where.folder / "log"
    with running(["node", "-e", _NODE, json.dumps(given)], log, NODE_PATH=str(where.modules)) as process:
        _ready(clear, process, log)
        yield Ports(clear, tls, mailbox(where.folder), auth=True)


@contextlib.contextmanager
def postfix(where: Surroundings) -> Iterator[Ports]:
    """With a mailbox for a virtual domain; passwords are checked by Dovecot where that is installed."""
    if shutil.which("postfix", path="/usr/sbin") is None:
        raise FileNotFoundError("postfix")
    if os.geteuid() != 0:
        raise RuntimeError("Postfix must be started by root")
    boxes = where.folder / "boxes"
    boxes.mkdir()
    shutil.chown(boxes, "nobody")
    user = int(Path("/etc/passwd").read_text().split("nobody:x:")[1].split(":")[0])
    clear, tls = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        sasl = ""
        with contextlib.suppress(FileNotFoundError, RuntimeError):
            path = stack.enter_context(dovecot_auth(where))
            sasl = f"""
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {path}
"""
        settings = f"""
smtpd_tls_security_level = may
smtpd_tls_chain_files = {where.certificate}
smtpd_tls_auth_only = yes
mydestination =
virtual_mailbox_domains = mail.example.org
virtual_mailbox_base = {boxes}
virtual_mailbox_maps = static:bob/
virtual_uid_maps = static:{user}
virtual_gid_maps = static:{user}
{sasl}"""
        smtps = f"127.0.0.1:{tls} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes"
        stack.enter_context(postfix_with(clear, where.folder / "postfix", settings, [smtps]))
        yield Ports(clear, tls, mailbox(boxes), auth=bool(sasl))


def _dovecot(where: Surroundings, name: str, settings: str) -> tuple[list[str], Path]:
    if shutil.which("dovecot", path="/usr/sbin:/usr/bin") is None:
        raise FileNotFoundError("dovecot")
    base = where.folder / name
    base.mkdir()
    os.chmod(base, 0o755)
    config = base / "dovecot.conf"
    config.write_text(
        f"""
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/log
ssl = yes
ssl_cert = <{where.certificate}
ssl_key = <{where.certificate}
passdb {{
  driver = static
  args = password={where.password}
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={base}/%u mail=maildir:{base}/%u
}}
first_valid_uid = 1
first_valid_gid = 1
{settings}
"""
    )
    return ["/usr/sbin/dovecot", "-F", "-c", str(config)], base


@contextlib.contextmanager
def dovecot_auth(where: Surroundings) -> Iterator[str]:
    """Dovecot as Postfix's checker of passwords; gives its socket."""
    command, base = _dovecot(
        where,
        "dovecot-auth",
        "protocols =\nservice auth {\n  unix_listener postfix-auth {\n    mode = 0666\n  }\n}\n",
    )
    with running(command, base / "out") as process:
        socket = base / "run/postfix-auth"
        end = time.monotonic() + 15
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("dovecot does not start")
            time.sleep(0.05)
        os.chmod(base / "run", 0o755)
        yield str(socket)


@contextlib.contextmanager
def dovecot_lmtp(where: Surroundings) -> Iterator[Ports]:
    """LMTP into Maildirs."""
    clear, tls = free_port(), free_port()
    command, base = _dovecot(
        where,
        "dovecot-lmtp",
        "protocols = lmtp\nservice lmtp {\n"
        f"  inet_listener lmtp {{\n    address = 127.0.0.1\n    port = {clear}\n  }}\n"
        f"  inet_listener lmtps {{\n    address = 127.0.0.1\n    port = {tls}\n    ssl = yes\n  }}\n}}\n"
        "protocol lmtp {\n  postmaster_address = postmaster@example.org\n}\nauth_username_format = %Ln\n",
    )
    shutil.chown(base, "nobody")
    with running(command, base / "out") as process:
        _ready(clear, process, base / "log" if (base / "log").exists() else base / "out")
        yield Ports(clear, tls, mailbox(base), lmtp=True)


def exim_program(unpacked: Path) -> str:
    """Where Exim is, or would be."""
    return shutil.which("exim4", path="/usr/sbin") or str(unpacked / "usr/sbin/exim4")


@contextlib.contextmanager
def exim(where: Surroundings) -> Iterator[Ports]:
    """Delivers into one Maildir; root's, since Exim looks its own user up."""
    program = exim_program(where.unpacked)
    if not Path(program).exists():
        raise FileNotFoundError("exim4")
    boxes, spool = where.folder / "boxes", where.folder / "spool"
    for made in (boxes, spool):
        made.mkdir()
        shutil.chown(made, "Debian-exim")
    clear, tls = free_port(), free_port()
    certificate = where.folder / "cert.pem"
    shutil.copy(where.certificate, certificate)
    shutil.chown(certificate, "Debian-exim")
    config = where.folder / "exim.conf"
    config.write_text(
        f"""
exim_path = {program}
primary_hostname = mail.example.org
spool_directory = {spool}
log_file_path = {spool}/%slog
pid_file_path = {spool}/exim.pid
daemon_smtp_ports = {clear} : {tls}
tls_on_connect_ports = {tls}
local_interfaces = 127.0.0.1
tls_advertise_hosts = *
tls_certificate = {certificate}
acl_smtp_rcpt = accept_all
acl_smtp_data = accept_all
auth_advertise_hosts = *
queue_run_max = 1
never_users =
chunking_advertise_hosts = *
begin acl
accept_all:
  accept
begin routers
box:
  driver = accept
  transport = box
begin transports
box:
  driver = appendfile
  directory = {boxes}
  maildir_format
  create_directory
  user = Debian-exim
  group = Debian-exim
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{where.user}}}}}{{eq{{$auth3}}{{{where.password}}}}}}}}}
  server_advertise_condition = ${{if def:tls_in_cipher}}
"""
    )
    log = where.folder / "log"
    libraries = str(where.unpacked / "usr/lib/x86_64-linux-gnu")
    command = [program, "-bdf", "-q10m", "-C", str(config)]
    with running(command, log, LD_LIBRARY_PATH=libraries) as process:
        _ready(clear, process, log)
        yield Ports(clear, tls, mailbox(boxes), auth=True)


def opensmtpd_program(unpacked: Path) -> str:
    """Where OpenSMTPD is, or would be."""
    return shutil.which("smtpd", path="/usr/sbin") or str(unpacked / "usr/sbin/smtpd")


@contextlib.contextmanager
def opensmtpd(where: Surroundings) -> Iterator[Ports]:
    """Delivers into one Maildir; its queue has a fixed place, so only one can run."""
    program = opensmtpd_program(where.unpacked)
    if not Path(program).exists():
        raise FileNotFoundError("opensmtpd")
    boxes = where.folder / "boxes"
    boxes.mkdir()
    shutil.chown(boxes, "nobody")
    clear, tls = free_port(), free_port()
    certificate = where.folder / "cert.pem"
    shutil.copy(where.certificate, certificate)
    os.chmod(certificate, 0o600)
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", where.password], capture_output=True, text=True, check=True
    ).stdout.strip()
    users = where.folder / "users"
    users.write_text(f"{where.user} {hashed}\n")
    os.chmod(users, 0o644)
    config = where.folder / "smtpd.conf"
    config.write_text(
        f"""
pki mail.example.org cert "{certificate}"
pki mail.example.org key "{certificate}"
table users file:{users}
listen on 127.0.0.1 port {clear} tls pki mail.example.org auth-optional <users> hostname mail.example.org
listen on 127.0.0.1 port {tls} smtps pki mail.example.org hostname mail.example.org
action "box" maildir "{boxes}" virtual {{ "@" = nobody }}
match from any for any action "box"
"""
    )
    os.chmod(config, 0o644)
    log = where.folder / "log"
    with running([program, "-d", "-f", str(config)], log) as process:
        _ready(clear, process, log)
        yield Ports(clear, tls, mailbox(boxes), auth=True)


SERVERS: dict[str, Callable[[Surroundings], Any]] = {
    "Postfix": postfix,
    "Exim": exim,
    "OpenSMTPD": opensmtpd,
    "aiosmtpd": aiosmtpd,
    "Dovecot LMTP": dovecot_lmtp,
    "smtp-server (npm)": smtp_server,
}
