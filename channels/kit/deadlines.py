"""How much time a message has left."""

import time

from jobctl.mail.envelope import Envelope


def time_left(envelope: Envelope) -> float | None:
    """Seconds until it is to be delivered, negative when that has passed; ``None``: its sender has set no time."""
    return None if envelope.by is None else envelope.by.deadline - time.time()
