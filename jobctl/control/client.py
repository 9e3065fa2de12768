"""
The control socket for Python programs without a reactor.

::

    from jobctl.control.client import Client

    with Client("/var/spool/jobctl/control.sock") as queue:
        ids = queue.enqueue("ann@example.org", ["bob@example.net"], b"Subject: hi\\n\\nHello\\n")

Every method raises :class:`jobctl.control.refusals.ControlError`, whose text
says what to do and whose ``exit_status`` (of sysexits.h) tells trouble that
passes, 75, from the rest.  Nothing waits for ever for a daemon that is gone or
stuck: a working one sends a heartbeat to whoever waits.
"""

import errno
import os
import select
import socket
import stat
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import IO, Any

import msgspec

from jobctl.control.crlf import CrlfLines
from jobctl.control.refusals import ControlError, NoAnswer, NoDaemon
from jobctl.control.replies import Answer, AnswerReader
from jobctl.control.socketpath import reachable

# Seconds to connect, and without any sign of life while an answer is awaited (heartbeats come every 10).
CONNECT = 5.0
SILENCE = 30.0
PIECE = 256 * 1024
_READ = 256 * 1024
_START = "start it with 'jobctl start' or 'twistd jobctl --config FILE'"


class Client:
    """
    One connection; one request at a time.

    :param path: The control socket.
    :param connect: Seconds to connect.
    :param silence: Seconds without a sign of life until the daemon is given up.
    :raises NoDaemon: Nobody listens there.
    :raises ControlError: Not a control socket, or not for this user.
    """

    def __init__(self, path: str, connect: float = CONNECT, silence: float = SILENCE) -> None:
        self.path = path
        self._silence = silence
        self._number = 0
        self._reader = AnswerReader()
        self._kept: deque[tuple[Answer, bytes]] = deque()
        self._socket = _connected(path, connect)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; may be called twice."""
        self._socket.close()

    def call(self, op: str, **args: Any) -> Any:
        """
        Ask for one operation and wait for its result; list items are gathered into a list.

        :param args: The request's keys, as in docs/control-socket.md.
        """
        items = []
        for answer, _ in self._answers(self._ask(op, args)):
            if answer.item is not msgspec.UNSET:
                items.append(answer.item)
            elif answer.result is not msgspec.UNSET:
                return items or ([] if _counts(answer.result) else answer.result)

    def stream(self, op: str, **args: Any) -> Iterator[tuple[Answer, bytes]]:
        """
        Ask for one operation and yield every answer as it comes, the last one with ``result``.

        :return: Answers with the message octets that came with them.  Leaving before the last one
            takes closing the client.
        """
        yield from self._answers(self._ask(op, args))

    def enqueue(
        self,
        sender: str,
        recipients: Iterable[str | dict[str, str]],
        content: bytes | IO[bytes],
        **args: Any,
    ) -> list[str]:
        """
        Hand over a message.

        :param sender: Address without brackets, ``""`` for the null sender.
        :param recipients: Addresses, or ``{"address", "notify", "orcpt"}``.
        :param content: Octets, or an open file; line ends become CRLF.
        :param args: ``channel``, ``priority``, ``notify``, ``ret``, ``envid``, ``by``, ``body``, ``smtputf8``.
        :return: The queue entries' ids, once the message is durable.  When this raises
            :class:`NoAnswer` while waiting, it may have become durable all the same.
        """
        pieces = content_pieces(content)
        piece = next(pieces, b"")
        following = next(pieces, None)
        octets = len(content) if isinstance(content, bytes) else 0
        keys = {"sender": sender, "recipients": list(recipients), "octets": octets, **args}
        number = self._ask("enqueue", keys, piece, more=following is not None)
        while following is not None:
            if self._refused(number):
                # Said while we were still sending: there is no use in the rest.
                self._send({"op": "enqueue", "id": number, "abort": True})
                break
            piece, following = following, next(pieces, None)
            self._send({"op": "enqueue", "id": number, "more": following is not None}, piece)
        for answer, _ in self._answers(number):
            if answer.result is not msgspec.UNSET:
                return list(answer.result)
        raise AssertionError("unreachable")

    def attach(self, channel: str, role: str) -> tuple[socket.socket, bytes]:
        """
        Make this connection a job's pipe.

        :return: The socket, which speaks the job protocol from here on and is the caller's, and
            what was read of it already.
        """
        self.call("attach", channel=channel, role=role)
        rest = self._reader.rest()
        self._socket.settimeout(None)
        return self._socket, rest

    def _ask(self, op: str, args: dict[str, Any], content: bytes = b"", more: bool = False) -> int:
        self._number += 1
        keys = {key: value for key, value in args.items() if value is not None}
        request = {"op": op, "id": self._number, **keys}
        if more:
            request["more"] = True
        self._send(request, content)
        return self._number

    def _send(self, request: dict[str, Any], content: bytes = b"") -> None:
        if content:
            request["size"] = len(content)
        left = memoryview(msgspec.json.encode(request) + b"\n" + content)
        while left:
            # Answers are read meanwhile: two ends that only write would wait for ever.
            ready = self._wait(select.POLLIN | select.POLLOUT)
            if ready & ~select.POLLOUT:
                self._receive()
            if ready & select.POLLOUT:
                try:
                    left = left[self._socket.send(left, socket.MSG_DONTWAIT) :]
                except BlockingIOError:
                    continue
                except OSError:
                    self._told_why()
                    raise self._gone() from None

    def _answers(self, number: int) -> Iterator[tuple[Answer, bytes]]:
        """Every answer to a request; heartbeats are left out."""
        while True:
            while (found := self._next()) is not None:
                answer, content = found
                if answer.error is not None and answer.id in (0, number):
                    answer.value()
                if answer.id != number or answer.alive:
                    continue
                yield answer, content
                if answer.result is not msgspec.UNSET:
                    return
            self._wait(select.POLLIN)
            self._receive()

    def _wait(self, events: int) -> int:
        """:raises NoAnswer: Nothing happened for too long."""
        poll = select.poll()
        poll.register(self._socket, events)
        ready = poll.poll(self._silence * 1000)
        if not ready:
            raise NoAnswer(
                f"the Job Controller at {self.path} has not answered for {self._silence:g} seconds; "
                "look whether it is stopped or overloaded, and try again"
            )
        return ready[0][1]

    def _receive(self) -> None:
        """
        Read what is there.

        :raises ControlError: The connection ended.
        """
        try:
            data = self._socket.recv(_READ, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._told_why()
            raise self._gone()
        self._reader.feed(data)

    def _next(self) -> tuple[Answer, bytes] | None:
        """The next answer that has been read."""
        if self._kept:
            return self._kept.popleft()
        try:
            return self._reader.next()
        except ValueError:
            raise not_ours(self.path) from None

    def _told_why(self) -> None:
        """The server closes after an error about the connection: it counts, not that writing failed."""
        try:
            while data := self._socket.recv(_READ, socket.MSG_DONTWAIT):
                self._reader.feed(data)
        except OSError:
            pass
        while (found := self._next()) is not None:
            answer, _ = found
            if answer.id == 0 and answer.error is not None:
                answer.value()

    def _refused(self, number: int) -> bool:
        """Whether an error is among what was read while a message is being sent."""
        while (found := self._next()) is not None:
            answer, _ = found
            if answer.error is not None and answer.id in (0, number):
                self._kept.append(found)
                return True
        return False

    def _gone(self) -> NoAnswer:
        return NoAnswer(
            f"the Job Controller at {self.path} closed the connection before it answered; "
            "look whether it still runs, and try again"
        )


def _counts(result: Any) -> bool:
    """Whether a result only says how many items there were."""
    return isinstance(result, dict) and result.keys() == {"count"}


def content_pieces(content: bytes | IO[bytes]) -> Iterator[bytes]:
    """The content with CRLF line ends, in pieces that a frame can carry."""
    lines = CrlfLines()
    half = PIECE // 2  # a piece of bare line ends doubles
    cut: Iterator[bytes]
    if isinstance(content, bytes):
        cut = (content[at : at + half] for at in range(0, len(content), half))
    else:
        cut = iter(lambda: content.read(half), b"")
    for data in cut:
        strict = lines.feed(data)
        if strict:
            yield strict
    rest = lines.finish()
    if rest:
        yield rest


def _connected(path: str, timeout: float) -> socket.socket:
    """A connected socket, or the reason why there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    until = time.monotonic() + timeout
    try:
        with reachable(path) as name:
            connection.setblocking(False)
            # A full backlog answers EAGAIN at once and offers nothing to wait for.
            while (code := connection.connect_ex(name)) == errno.EAGAIN and time.monotonic() < until:
                time.sleep(0.05)
    except OSError as why:
        code = why.errno or errno.EIO
    if code == 0:
        connection.setblocking(True)
        return connection
    connection.close()
    raise why_not(path, code)


def why_not(path: str, code: int) -> ControlError:
    if code == errno.EACCES:
        return ControlError(
            f"no permission for the control socket {path}; "
            "run this as root, as the daemon's user, or as a member of its group",
            os.EX_NOPERM,
        )
    try:
        there = stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return NoDaemon(
            f"no Job Controller runs at {path}; start it with 'jobctl start' or 'twistd jobctl --config FILE'"
        )
    if not there:
        return ControlError(
            f"{path} is not a socket; look at control_socket in the configuration", os.EX_CONFIG
        )
    if code == errno.ECONNREFUSED:
        return NoDaemon(f"no Job Controller answers at {path} any more; {_START}")
    if code == errno.EAGAIN:
        return NoAnswer(
            f"the Job Controller at {path} takes no connections; look whether it is stopped or stuck"
        )
    if code in (errno.EPROTOTYPE, errno.EPROTONOSUPPORT):
        return not_ours(path)
    return NoAnswer(f"cannot connect to the control socket {path}: {os.strerror(code)}")


def not_ours(path: str) -> ControlError:
    return ControlError(
        f"{path} is not the control socket of a Job Controller; look at control_socket in the configuration",
        os.EX_PROTOCOL,
    )
