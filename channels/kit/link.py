"""The job link without its pipes: octets of the Job Controller in, events out (job protocol, version 1)."""

from collections import deque
from typing import Any

import jobctl
from jobctl.errors import ProtocolViolation
from jobctl.jobprotocol.codec import encode, from_controller
from jobctl.jobprotocol.frames import (
    VERSION,
    Accepted,
    Ask,
    HelloController,
    HelloProgram,
    Look,
    Message,
    Refused,
    Report,
    Stop,
    VerdictFrame,
)
from jobctl.jobprotocol.reports import bounded

# Pieces of one message (256 KiB each) that may lie here unread: one in work, one on its way.
WINDOW = 2


class Assignment:
    """
    A message that this program was given and owes a verdict on.

    Its content may still be coming: :meth:`take` gives what is here.

    :ivar message: The frame it began with: id, attempt, host, envelope, octets ...
    :ivar taken: Octets of its content taken so far.
    """

    __slots__ = ("_last", "_link", "_pieces", "message", "taken")

    def __init__(self, message: Message, content: bytes, link: "JobLink") -> None:
        self.message = message
        self._link = link
        self._pieces = deque((content,) if content else ())
        self._last = not message.more
        self.taken = 0

    def add(self, content: bytes, more: bool) -> None:
        """The next piece came."""
        if content:
            self._pieces.append(content)
        self._last = not more

    def take(self) -> bytes | None:
        """The next piece of content; ``None``: none is here, and none comes any more if :attr:`complete`."""
        if not self._pieces:
            return None
        if not self._last:
            self._link.ask_pieces(self.message.id, 1)
        piece = self._pieces.popleft()
        self.taken += len(piece)
        return piece

    @property
    def whole(self) -> bytes | None:
        """All of its content, if it is here and none was taken."""
        return self._pieces[0] if len(self._pieces) == 1 and self._last and not self.taken else None

    @property
    def complete(self) -> bool:
        """All of it was taken."""
        return self._last and not self._pieces


Event = HelloController | Assignment | Accepted | Refused | VerdictFrame | Stop | Look


class JobLink:
    """
    One program's talk with the Job Controller. No descriptor, no clock.

    :param name: The program, for ``hello``.
    :param connections: Destinations it serves at a time.
    :ivar hello: What the controller said of this job; ``None`` so far.
    :ivar stopping: The controller asked to finish and take no more.
    :ivar hurried: Something is to be said that cannot wait for more to be said.
    """

    def __init__(self, name: str, *, connections: int = 1, window: int = WINDOW) -> None:
        self._reader = from_controller()
        self._open: dict[str, Assignment] = {}
        self._output: list[bytes] = []
        self.hurried = False
        self.hello: HelloController | None = None
        self.stopping = False
        self.send(
            HelloProgram(
                version=VERSION,
                name=name,
                release=jobctl.__version__,
                connections=connections,
                window=window,
                tells=True,
            )
        )

    def send(self, frame: Any, content: bytes = b"") -> None:
        """Say a frame; it leaves with :meth:`take_output`."""
        self._output.append(encode(frame, content))
        self.hurried = True

    @property
    def waiting(self) -> int:
        """Frames not yet taken."""
        return len(self._output)

    def take_output(self) -> bytes:
        """Octets for the controller."""
        if not self._output:
            return b""
        output, self._output = self._output, []
        self.hurried = False
        return b"".join(output)

    def receive(self, data: bytes) -> list[Event]:
        """
        Take octets from the controller and tell what they mean.

        Further content of an assignment is no event: whoever holds it looks with :meth:`Assignment.take`.

        :raises ProtocolViolation: Not the job protocol, or not our version; the link is of no more use.
        """
        events: list[Event] = []
        for frame, content in self._reader.feed(data):
            event = self._event(frame, content)
            if event is not None:
                events.append(event)
        return events

    def _event(self, frame: Any, content: bytes) -> Event | None:
        kind = type(frame)
        if self.hello is None:
            return self._greeted(frame)
        if kind is Message:
            return self._piece(frame, content)
        if kind is Ask:
            # Pieces of a submission need no credit here: a full pipe holds them back.
            return None
        if kind is Stop:
            self.stopping = True
        elif kind is HelloController:
            raise ProtocolViolation("a second hello from the Job Controller")
        event: Event = frame
        return event

    def _greeted(self, frame: Any) -> HelloController:
        if type(frame) is not HelloController:
            raise ProtocolViolation("the Job Controller did not begin with hello")
        if frame.version != VERSION:
            raise ProtocolViolation(
                f"the Job Controller speaks version {frame.version} of the job protocol, not {VERSION}"
            )
        self.hello = frame
        return frame

    def _piece(self, frame: Message, content: bytes) -> Assignment | None:
        if frame.envelope is not None:
            assignment = self._open[frame.id] = Assignment(frame, content, self)
            return assignment
        known = self._open.get(frame.id)
        # Pieces already on their way when the verdict was given are dropped.
        if known is not None:
            known.add(content, frame.more)
        return None

    def ask(self, count: int) -> None:
        """Say that ``count`` more messages can be taken."""
        self.send(Ask(n=count))

    def ask_pieces(self, id: str, count: int) -> None:
        """Say that ``count`` more pieces of one message can be taken."""
        self.send(Ask(n=count, id=id))

    def report(self, report: Report) -> None:
        """Give the verdicts on an assignment; it is no longer ours. That can wait a moment for others."""
        self._open.pop(report.id, None)
        self._output.append(encode(bounded(report)))
