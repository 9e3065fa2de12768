"""The control socket as a file, and who may use it."""

import grp
import os
import pwd
import socket
import stat
import subprocess
import sys
import tempfile

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase

from jobctl.control.client import Client
from jobctl.control.listener import ControlPort, listen
from jobctl.control.peer import Rights, daemon_rights, login_name
from jobctl.control.refusals import ControlError, NoDaemon
from jobctl.control.requests import CHANGE
from jobctl.control.server import ControlFactory
from jobctl.errors import ConfigError, StoreBusy
from tests.control_case import ControlCase
from tests.control_fake import FakeOperations

NOBODY = 65534

# What a child process of another user does: one request, its answer on stdout.
ASK = """
import os, socket, sys
path, uid, gid, groups, request = sys.argv[1:]
os.setgroups([int(g) for g in groups.split(",") if g])
os.setgid(int(gid))
os.setuid(int(uid))
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(path)
try:
    s.sendall(request.encode() + b"\\n")
except OSError:
    pass
print(s.makefile("rb").readline().decode(), end="")
"""


# What a child process of another user does who means harm: of everything something, seeded.
FUZZ = """
import os, random, socket, sys
path, uid = sys.argv[1:]
os.setgroups([])
os.setgid(int(uid))
os.setuid(int(uid))
chance = random.Random(7)
valid = [
    b'{"op":"qm.delete","id":1,"ids":["a1"]}\\n',
    b'{"op":"enqueue","id":1,"sender":"a@b.c","recipients":["d@e.f"],"size":5,"more":true}\\nhello',
    b'{"op":"attach","id":1,"channel":"tcp_local"}\\n',
    b'{"op":"qm.directory","id":1}\\n',
    b'{"op":"ping","id":99999999999999999999}\\n',
]
kinds = [
    lambda: chance.randbytes(chance.randint(0, 3000)),
    lambda: b"[" * chance.randint(1, 100_000) + b"\\n",
    lambda: b"x" * 2_000_000,
    lambda: chance.choice(valid) * chance.randint(1, 300),
    lambda: chance.choice(valid)[: chance.randint(0, 60)],
    lambda: b'{"op":"qm.read","id":1,"size":%d}\\n' % chance.choice([-1, 1 << 31, 1 << 70]),
    lambda: b'{"op":"' + chance.randbytes(20) + b'"}\\n\\0\\0\\n',
]
kept = []
for number in range(150):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(0.05)
    try:
        s.connect(path)
        s.sendall(chance.choice(kinds)())
        if chance.random() < 0.3:
            s.recv(100)
        if chance.random() < 0.3:
            s.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    if chance.random() < 0.2:
        kept.append(s)
print("done", len(kept))
"""


class RightsTests(ControlCase):
    """Who may look and who may change, by what the kernel says of the peer."""

    def setUp(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("only root can become another user")
        super().setUp()
        # Others must be able to connect at all; the file's mode is another test's matter.
        os.chmod(os.path.dirname(self.path), 0o755)
        os.chmod(self.path, 0o666)

    async def as_user(self, request: str, gid: int = NOBODY, groups: str = "") -> str:
        argv = [sys.executable, "-c", ASK, self.path, str(NOBODY), str(gid), groups, request]
        done = await deferToThread(subprocess.run, argv, capture_output=True, text=True, timeout=60, env={})
        self.assertEqual(done.stderr, "")
        return done.stdout

    async def fuzz(self) -> None:
        argv = [sys.executable, "-c", FUZZ, self.path, str(NOBODY)]
        done = await deferToThread(subprocess.run, argv, capture_output=True, text=True, timeout=60, env={})
        self.assertEqual(done.stderr, "")
        self.assertIn("done", done.stdout)

    async def test_garbage_from_a_user_without_rights(self) -> None:
        """Whatever he sends, and however he leaves: nothing is done for him, and others are served."""
        await self.fuzz()
        self.assertEqual((self.operations.calls, self.operations.received), ([], []))
        self.assertEqual((await self.ask({"op": "ping", "id": 1}))["result"], "jobctl")

    async def test_garbage_from_a_user_who_may_look(self) -> None:
        """He gets no further, and changes nothing."""
        self.factory.rights = Rights(uid=0, readers=frozenset({NOBODY}))
        await self.fuzz()
        changed = [request for request, *_ in self.operations.calls if request.right == CHANGE]
        self.assertEqual((changed, self.operations.received), ([], []))
        self.assertEqual((await self.ask({"op": "ping", "id": 1}))["result"], "jobctl")

    async def test_stranger(self) -> None:
        """Another user is told that it is not for him, and the daemon works on."""
        answer = await self.as_user('{"op":"ping","id":1}')
        self.assertIn(f'"exit":{os.EX_NOPERM}', answer)
        self.assertIn("control_group", answer)
        await self.as_user("\x01garbage")
        self.assertEqual((await self.ask({"op": "ping", "id": 1}))["result"], "jobctl")
        self.assertEqual(len(self.operations.calls), 1)

    async def test_reader(self) -> None:
        """Who is named in control_readers sees everything and changes nothing."""
        self.factory.rights = Rights(uid=0, readers=frozenset({NOBODY}))
        self.assertIn('"channel":"tcp_local"', await self.as_user('{"op":"qm.summarize","id":1}'))
        for request in (
            '{"op":"qm.stop","id":1,"channel":"l"}',
            '{"op":"qm.delete","id":1,"ids":["a1"]}',
            '{"op":"enqueue","id":1,"sender":"","recipients":["b@b.example"]}',
            '{"op":"attach","id":1,"channel":"l"}',
        ):
            self.assertIn(f'"exit":{os.EX_NOPERM}', await self.as_user(request), request)
        self.assertEqual((self.operations.calls, self.operations.received), ([], []))

    async def test_group(self) -> None:
        """Members of control_group may change, as their first group or a further one."""
        self.factory.rights = Rights(uid=0, group=4321)
        for gid, groups in ((4321, ""), (NOBODY, "77,4321")):
            answer = await self.as_user('{"op":"qm.stop","id":1,"channel":"l"}', gid, groups)
            self.assertIn('"result"', answer)
        self.assertIn("error", await self.as_user('{"op":"ping","id":1}', NOBODY, "77"))

    def test_reader_in_the_group(self) -> None:
        """control_readers narrows what a member of the group may do."""
        rights = Rights(uid=5, group=7, readers=frozenset({99}), reader_groups=frozenset({70}))
        self.assertEqual(rights.of(99, {7}), {"read"})
        self.assertEqual(rights.of(100, {70}), {"read"})
        self.assertEqual(rights.of(100, {7}), {"read", "change"})
        self.assertEqual(rights.of(100, {8}), frozenset())
        self.assertEqual(rights.of(5, {70}), {"read", "change"})
        self.assertEqual(rights.of(0, set()), {"read", "change"})

    def test_names(self) -> None:
        """Names become ids when the daemon starts; names that nobody has are errors, all told at once."""
        self.assertEqual(login_name(0), "root")
        self.assertEqual(login_name(4_000_000), "uid 4000000")
        user, group = pwd.getpwuid(NOBODY).pw_name, grp.getgrgid(0).gr_name
        rights = daemon_rights(group, [user, group])
        self.assertEqual(
            (rights.group, rights.readers & {NOBODY}, rights.reader_groups & {0}), (0, {NOBODY}, {0})
        )
        with self.assertRaises(ConfigError) as caught:
            daemon_rights("no-such-group", ["no-such-user"])
        self.assertEqual(len(caught.exception.problems), 2)


class FileTests(TestCase):
    """The socket's file, made safely and removed only when it is ours."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(folder.name, "var", "control.sock")

    def open(self, group: int | None = None) -> ControlPort:
        factory = ControlFactory(FakeOperations(), Rights(os.geteuid()), reactor)
        port = listen(reactor, self.path, factory, group)
        self.addCleanup(port.stopListening)
        self.addCleanup(factory.drop_all)
        return port

    async def test_mode(self) -> None:
        """The socket is for user and group alone, whatever the umask, and the umask stays."""
        before = os.umask(0)
        try:
            self.open()
            self.assertEqual(os.umask(0), 0)
        finally:
            os.umask(before)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o660)

    async def test_group(self) -> None:
        """The socket belongs to control_group; without one it keeps the daemon's own."""
        await self.open().stopListening()
        port = self.open()
        self.assertEqual(os.stat(self.path).st_gid, os.getegid())
        await port.stopListening()
        group = next(group.gr_gid for group in grp.getgrall() if group.gr_gid != os.getegid())
        self.open(group)
        self.assertEqual(os.stat(self.path).st_gid, group)

    async def test_second_daemon(self) -> None:
        """A socket where a daemon answers is not taken away from it."""
        first = self.open()
        with self.assertRaisesRegex(StoreBusy, "stop it first"):
            self.open()
        await first.stopListening()
        self.assertFalse(os.path.exists(self.path))
        self.open()

    async def test_stale_socket(self) -> None:
        """What a daemon that died left behind is replaced."""
        os.makedirs(os.path.dirname(self.path))
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(self.path)
        dead.close()
        self.open()

    async def test_not_a_socket(self) -> None:
        """A file, a folder or a link of that name is never removed."""
        os.makedirs(os.path.dirname(self.path))
        with open(self.path, "w") as file:
            file.write("precious")
        with self.assertRaisesRegex(ConfigError, "not a socket"):
            self.open()
        os.rename(self.path, self.path + ".kept")
        os.symlink(self.path + ".kept", self.path)
        with self.assertRaisesRegex(ConfigError, "not a socket"):
            self.open()
        with open(self.path) as file:
            self.assertEqual(file.read(), "precious")

    async def test_bad_places(self) -> None:
        """A place where nothing can be made is a configuration error that names it."""
        with open(os.path.join(self.folder, "file"), "w"):
            pass
        self.path = os.path.join(self.folder, "file", "control.sock")
        with self.assertRaisesRegex(ConfigError, "control_socket"):
            self.open()
        self.path = os.path.join(self.folder, "x" * 300)
        with self.assertRaisesRegex(ConfigError, "control_socket"):
            self.open()

    async def test_successor_keeps_its_socket(self) -> None:
        """A daemon that stops removes its own socket and not that of another."""
        first = self.open()
        os.unlink(self.path)
        self.open()
        await first.stopListening()
        self.assertTrue(os.path.exists(self.path))

    async def test_long_path(self) -> None:
        """A path longer than a socket's address works for daemon and client."""
        self.path = os.path.join(self.folder, "x" * 60, "y" * 60, "control.sock")
        with self.assertRaises(NoDaemon):
            Client(self.path)
        self.open()
        self.assertEqual(await deferToThread(lambda: Client(self.path).call("ping")), "jobctl")

    async def test_no_permission(self) -> None:
        """Who may not even connect is told which users may."""
        if os.geteuid() != 0:
            raise SkipTest("only root can become another user")
        os.chmod(self.folder, 0o755)
        self.open()
        script = (
            "import os, sys\n"
            "from jobctl.control.client import Client\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "try:\n    Client(sys.argv[1])\n"
            "except Exception as why:\n    print(type(why).__name__, why.exit_status, why)"
        )
        argv = [sys.executable, "-c", script, self.path]
        done = await deferToThread(subprocess.run, argv, capture_output=True, text=True, timeout=60, env={})
        self.assertTrue(done.stdout.startswith(f"{ControlError.__name__} {os.EX_NOPERM} "), done)
