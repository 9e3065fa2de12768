"""What tells one transfer of a message from another (REUSE_TIMED_OUT_TRANSFERS)."""

import hashlib

import msgspec

from jobctl.mail.envelope import Envelope


class Transfer:
    """
    A message as its client sends it, without anything that we add.

    :param client: Its address, ``""``: not known.
    :param began: When its content began to come, by any clock in seconds.
    """

    def __init__(self, client: str, user: str | None, envelope: Envelope, began: float) -> None:
        self._began = began
        self._digest = hashlib.sha256(msgspec.json.encode([client, user, envelope]) + b"\n")

    def add(self, data: bytes) -> None:
        """More of its content."""
        self._digest.update(data)

    def finished(self, now: float) -> tuple[str, float]:
        """It is complete: what it is known by, and how many seconds it took."""
        return self._digest.hexdigest(), max(0.0, now - self._began)
