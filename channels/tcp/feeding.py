"""Content on its way from the controller to a peer, piece by piece as the peer takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobctl.jobprotocol.frames import Ask

if TYPE_CHECKING:
    from channels.kit.reactor_link import ReactorLink
    from channels.tcp.assignment import Assignment
    from jobctl.smtp.client import ClientDialogue

# Pieces of a large message that may be on their way or in memory while it is sent.
WINDOW = 4


class Feeding:
    """
    One connection's: at most one message is fed at a time.

    :ivar assignment: The message, ``None`` while none is fed.
    :ivar owed: Pieces sent since more were asked for.
    """

    def __init__(self, link: ReactorLink) -> None:
        self._link = link
        self.assignment: Assignment | None = None
        self.owed = 0

    def begin(self, assignment: Assignment, dialogue: ClientDialogue) -> None:
        """The peer waits for the content of this message."""
        if assignment.more:
            self._link.send(Ask(n=WINDOW - 1, id=assignment.id))
        self.assignment = assignment
        self._feed(assignment, dialogue)

    def piece(self, assignment: Assignment, dialogue: ClientDialogue | None) -> bool:
        """
        A further piece of a message has come; send it if it is being sent.

        :return: It was.
        """
        if self.assignment is not assignment:
            return False
        assert dialogue is not None  # else nothing is being sent
        self._feed(assignment, dialogue)
        return True

    def go_on(self, dialogue: ClientDialogue) -> None:
        """The peer has answered: it may take more of what is here."""
        assignment = self.assignment
        if assignment is not None and assignment.pieces and dialogue.wants_content:
            self._feed(assignment, dialogue)

    def over(self, assignment: Assignment) -> None:
        """Its transaction has ended."""
        if self.assignment is assignment:
            self.assignment = None

    def _feed(self, assignment: Assignment, dialogue: ClientDialogue) -> None:
        if not assignment.more and not assignment.spent and len(assignment.pieces) == 1:
            # All of it at once, and kept: should this connection go, it can begin again.
            assignment.fed = len(assignment.pieces[0])
            dialogue.feed(assignment.pieces[0])
        else:
            while assignment.pieces and dialogue.wants_content:
                assignment.spent = True
                assignment.fed += len(assignment.pieces[0])
                dialogue.feed(assignment.pieces.popleft())
                self.owed += 1
        if not assignment.more and (not assignment.spent or not assignment.pieces):
            self.assignment = None
            self.owed = 0
            assignment.dotted = True
            dialogue.finish()
            self._link.dot(assignment.id, assignment.attempt)

    def ask(self) -> None:
        """What was sent has left: ask for as many pieces more."""
        if self.owed and self.assignment is not None and self.assignment.more:
            self._link.send(Ask(n=self.owed, id=self.assignment.id))
            self.owed = 0
