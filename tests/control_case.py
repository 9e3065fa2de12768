"""A control server in the test's own reactor, and a client that writes raw octets."""

import json
import os
import socket
import tempfile
from typing import Any

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from jobctl.control.listener import listen
from jobctl.control.peer import Rights
from jobctl.control.server import ControlFactory
from tests.control_fake import FakeOperations


class Raw:
    """A client that writes octets; its blocking calls are made in a thread."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def send(self, *requests: Any) -> None:
        self.socket.sendall(b"".join(json.dumps(request).encode() + b"\n" for request in requests))

    def answer(self) -> Any:
        line = self.file.readline()
        return json.loads(line) if line else None

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class ControlCase(TestCase):
    """A control server with made-up operations, listening in a temporary folder."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "control.sock")
        self.operations = FakeOperations()
        self.factory = ControlFactory(self.operations, Rights(uid=os.geteuid()), reactor)
        port = listen(reactor, self.path, self.factory)
        self.addCleanup(port.stopListening)
        self.addCleanup(self.factory.drop_all)

    def client(self) -> Raw:
        raw = Raw(self.path)
        self.addCleanup(raw.close)
        return raw

    async def ask(self, *requests: Any, client: Raw | None = None) -> Any:
        raw = client or self.client()
        raw.send(*requests)
        return await deferToThread(raw.answer)
