"""Peers that say our secrets back to us: what they said, without those."""

import base64
import binascii
import re
from collections.abc import Iterable

# What is shorter would be found in every text.
_SHORTEST = 4
# As long a piece of a response can be nothing else, also where it was cut off.
_PIECE = re.compile(r"[A-Za-z0-9+/=]{8,}")
_PARTS = re.compile(r"[\0\x01]|auth=Bearer ")


def secrets_of(response: str) -> tuple[str, ...]:
    """
    What must not be shown of a response that was sent: as it is, and the password or token, which comes last in it.

    :param response: In base64.
    """
    try:
        inside = base64.b64decode(response).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        inside = ""
    parts = [part for part in _PARTS.split(inside) if part]
    return (response, *parts[-1:])


def hidden(text: str, secrets: Iterable[str]) -> str:
    """``text`` with ``***`` in place of each secret, and of each longer piece of one."""
    kept = [secret for secret in secrets if len(secret) >= _SHORTEST]
    if not kept:
        return text
    for secret in sorted(kept, key=len, reverse=True):
        text = text.replace(secret, "***")
    return _PIECE.sub(lambda found: "***" if any(found[0] in secret for secret in kept) else found[0], text)
