"""Message content on its way to one program, in pieces, without one message stopping the others."""

from collections import deque
from collections.abc import Callable
from typing import Any

from jobctl.errors import StoreError
from jobctl.jobprotocol.codec import encode
from jobctl.jobprotocol.frames import PIECE, Message

# Octets waiting for the pipe above which no further piece is read; with one piece more: 3/4 MiB.
# More than PipeWriter.bufferSize, so that whoever stops here is called when the pipe has taken it all.
HIGH = 2 * PIECE


class BytesContent:
    """Octets in memory, read like :class:`jobctl.interfaces.IContent`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self.size = len(data)

    def read(self, count: int) -> bytes:
        """Up to ``count`` further octets."""
        piece = self._data[self._at : self._at + count]
        self._at += len(piece)
        return piece

    def close(self) -> None:
        """Nothing is held."""


class _Stream:
    """One message's content: how much has gone, and how many pieces may still go."""

    __slots__ = ("content", "credit", "frame", "id", "left", "opened")

    def __init__(self, frame: Message, content: Any, credit: int) -> None:
        self.id = frame.id
        self.frame = frame
        self.content = content
        self.left: int = content.size
        self.credit = credit
        self.opened = False

    def next_piece(self) -> bytes:
        """
        The next frame with its piece, encoded.

        :raises StoreError: The content is damaged, or shorter than it said.
        """
        data = self.content.read(min(PIECE, self.left))
        if not data and self.left:
            raise StoreError(f"{self.left} octets of the content are missing")
        self.left -= len(data)
        frame = Message(id=self.id) if self.opened else self.frame
        frame.more = self.left > 0
        self.opened = True
        return encode(frame, data)


class ContentStreams:
    """
    The large messages under way to one program.

    Without a window a program reads one thing after the other: everything goes in the
    order in which it was given.  With a window each message has its own credit of pieces,
    messages take turns, and other frames pass between the pieces.

    :param window: ``hello.window``.
    :param write: Takes encoded frames.
    :param pending: Octets that ``write`` took and the pipe did not.
    :param failed: Called with (id, whether a part has gone, why) when content cannot be read;
        the message is then forgotten here.
    """

    def __init__(
        self,
        window: int,
        write: Callable[[bytes], None],
        pending: Callable[[], int],
        failed: Callable[[str, bool, str], None],
    ) -> None:
        self._window = window
        self._write = write
        self._pending = pending
        self._failed = failed
        # Without a window also encoded frames that must not overtake the messages before them.
        self._turns: deque[_Stream | bytes] = deque()
        # Streams that wait for credit.
        self._parked: dict[str, _Stream] = {}

    @property
    def in_order(self) -> bool:
        """Frames must wait behind what is under way (:meth:`behind`)."""
        return not self._window and bool(self._turns)

    @property
    def busy(self) -> bool:
        """Some content has not gone completely."""
        return bool(self._turns or self._parked)

    def behind(self, data: bytes) -> None:
        """Send an encoded frame after all that is under way."""
        self._turns.append(data)

    def add(self, frame: Message, content: Any) -> None:
        """
        Send a message in pieces.

        :param content: An :class:`jobctl.interfaces.IContent`; closed here when done with it.
        """
        self._turns.append(_Stream(frame, content, self._window))
        self.pump()

    def credit(self, id: str, pieces: int) -> None:
        """Allow further pieces of a message; nothing when all of it has gone."""
        stream = self._parked.pop(id, None)
        if stream is not None:
            stream.credit = pieces
            self._turns.append(stream)
            self.pump()
            return
        for turn in self._turns:
            if isinstance(turn, _Stream) and turn.id == id:
                turn.credit += pieces

    def cancel(self, id: str) -> None:
        """
        The program has decided early.

        With a window it gets no more of that message; without one it cannot look
        past it, so the rest still comes.
        """
        if not self._window or not self.busy:
            return
        stream = self._parked.pop(id, None)
        if stream is None:
            stream = next((turn for turn in self._turns if isinstance(turn, _Stream) and turn.id == id), None)
            if stream is None:
                return
            self._turns.remove(stream)
        stream.content.close()

    def pump(self) -> None:
        """Send what has credit, until enough is waiting for the pipe."""
        while self._turns and self._pending() < HIGH:
            turn = self._turns[0]
            if isinstance(turn, bytes):
                self._turns.popleft()
                self._write(turn)
                continue
            try:
                data = turn.next_piece()
            except (StoreError, OSError) as why:
                self._turns.popleft()
                turn.content.close()
                self._failed(turn.id, turn.opened, str(why))
                continue
            if self._window:
                self._turns.popleft()
                turn.credit -= 1
                if turn.left:
                    if turn.credit > 0:
                        self._turns.append(turn)
                    else:
                        self._parked[turn.id] = turn
            elif not turn.left:
                self._turns.popleft()
            if not turn.left:
                turn.content.close()
            self._write(data)

    def close(self) -> list[str]:
        """
        The program is gone: close all content.

        :return: Messages of which nothing had gone.
        """
        untouched = []
        for turn in (*self._turns, *self._parked.values()):
            if isinstance(turn, _Stream):
                turn.content.close()
                if not turn.opened:
                    untouched.append(turn.id)
        self._turns.clear()
        self._parked.clear()
        return untouched
