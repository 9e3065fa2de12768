"""Listening sockets of endpoint strings, to be handed over."""

import os
import shutil
import socket
import stat
import tempfile

from twisted.internet.endpoints import _SystemdParser
from twisted.python.systemd import ListenFDs
from twisted.trial.unittest import SynchronousTestCase

from jobctl.net.listeners import open_listener, parse_endpoint


class ListenerTests(SynchronousTestCase):
    def opened(self, endpoint: str) -> socket.socket:
        listener = open_listener(endpoint)
        self.addCleanup(listener.close)
        return listener

    def test_tcp(self) -> None:
        """A TCP endpoint becomes a listening socket that no program inherits by accident."""
        listener = self.opened("tcp:0:interface=127.0.0.1:backlog=5")
        self.assertEqual(listener.getsockname()[0], "127.0.0.1")
        self.assertFalse(listener.get_inheritable())
        self.assertFalse(listener.getblocking())
        client = socket.create_connection(listener.getsockname())
        self.addCleanup(client.close)
        accepted, _ = listener.accept()
        self.addCleanup(accepted.close)
        self.assertTrue(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def test_ipv6(self) -> None:
        """An IPv6 interface, its colons escaped, listens there."""
        if not socket.has_ipv6:
            self.skipTest("no IPv6 here")
        for endpoint in ("tcp6:0:interface=\\:\\:1", "tcp:port=0:interface=\\:\\:1"):
            self.assertEqual(self.opened(endpoint).getsockname()[0], "::1")

    def test_unix(self) -> None:
        """A UNIX endpoint replaces a socket nobody listens on, never a live one or a file."""
        base = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, base)
        path = os.path.join(base, "mail.sock")
        open_listener(f"unix:{path}").close()
        listener = self.opened(f"unix:{path}:mode=600")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with self.assertRaises(OSError) as caught:
            open_listener(f"unix:{path}")
        self.assertIn(f"cannot listen on unix:{path}: Address already in use", str(caught.exception))
        listener.close()
        os.unlink(path)
        with open(path, "w"):
            pass
        self.assertRaises(OSError, open_listener, f"unix:{path}")

    def test_in_use(self) -> None:
        """A port that is taken is named."""
        port = self.opened("tcp:0:interface=127.0.0.1").getsockname()[1]
        with self.assertRaises(OSError) as caught:
            open_listener(f"tcp:{port}:interface=127.0.0.1")
        self.assertIn(f"cannot listen on tcp:{port}", str(caught.exception))

    def test_mistakes(self) -> None:
        """Strings that are no endpoints are refused."""
        for endpoint in ("", "tcp", "tcp:x", "tcp:99999", "ssl:443", "unix"):
            self.assertRaises(ValueError, open_listener, endpoint)

    def test_systemd(self) -> None:
        """Sockets that systemd opened are taken over, by index or by name."""
        given = self.opened("tcp:0:interface=127.0.0.1")
        self.patch(_SystemdParser, "_sddaemon", ListenFDs([given.fileno()], ("mail",)))
        for endpoint in ("systemd:domain=INET:index=0", "systemd:domain=INET:name=mail"):
            self.assertEqual(self.opened(endpoint).getsockname(), given.getsockname())
        self.assertRaises(OSError, open_listener, "systemd:domain=INET:index=1")

    def test_syntax(self) -> None:
        """The syntax is Twisted's."""
        self.assertEqual(parse_endpoint("tcp:25:backlog=5"), ("tcp", {"port": "25", "backlog": "5"}))
        self.assertEqual(parse_endpoint("unix:/a\\:b\\=c"), ("unix", {"address": "/a:b=c"}))
