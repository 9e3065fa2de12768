"""Announcing final dots: after a crash the controller knows which messages may have been delivered."""

import os
from collections.abc import Mapping

from channels.kit.link import JobLink
from jobctl.jobprotocol.frames import Sent


class Announcements:
    """
    What must be known of before it happens.

    :meth:`add` each final dot, then :meth:`publish`; only when that returns true may the dots go.

    :param journal: Descriptor of a file opened for appending; what was written there
        outlives this process and the controller. ``None``: ``sent`` frames say it.
    """

    def __init__(self, link: JobLink, journal: int | None) -> None:
        self._link = link
        self._journal = journal
        self._added: list[tuple[str, int]] = []

    @property
    def by_frame(self) -> bool:
        """Announcements travel on the link: it must be empty before dots may go."""
        return self._journal is None

    def add(self, id: str, attempt: int) -> None:
        """The final dot of this message is in the octets that are about to go."""
        self._added.append((id, attempt))

    def publish(self) -> None:
        """Make known what was added: in one write, or as frames on the link."""
        if not self._added:
            return
        added, self._added = self._added, []
        if self._journal is not None:
            lines = "".join(f"{id} {attempt}\n" for id, attempt in added).encode("ascii")
            try:
                # Whole or not at all: the file is opened for appending and the lines are short.
                if os.write(self._journal, lines) == len(lines):
                    return
            except OSError:
                pass
            # The disk is full, say: from now on by frames, which need no room.
            self._journal = None
        for id, _ in added:
            self._link.send(Sent(id=id))


def journal_descriptor(environment: Mapping[str, str]) -> int | None:
    """The descriptor that ``JOBCTL_SENT_FD`` names, if it is open."""
    text = environment.get("JOBCTL_SENT_FD", "")
    if not (text.isascii() and text.isdigit()):
        return None
    try:
        os.fstat(int(text))
    except OSError:
        return None
    return int(text)
