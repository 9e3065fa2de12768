"""Ports that tests may have, each for itself."""

import contextlib
import random
import socket
from collections import deque

# Below those that the kernel gives to whoever asks for any (net.ipv4.ip_local_port_range).
_FIRST, _END = 10_000, 32_768
# Nobody needs UDP there: a socket of it says to other processes of tests that the port is taken, until we end.
_taken: deque[socket.socket] = deque(maxlen=200)


def free_port() -> int:
    """
    A port that nothing listens on, and that no other test is given, not in another process either.

    Who gets one from the kernel and gives it back may find it taken by the time that a daemon listens there.
    """
    while True:
        port = random.SystemRandom().randrange(_FIRST, _END)
        sign = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError), socket.socket() as probe:
            sign.bind(("127.0.0.1", port))
            probe.bind(("", port))
            _taken.append(sign)
            return port
        sign.close()
