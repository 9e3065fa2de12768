"""Names of UNIX sockets beyond the 107 octets that an address holds (unix(7))."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 107


@contextmanager
def reachable(path: str) -> Iterator[str]:
    """
    A name for the socket at ``path`` short enough to bind or connect to, good inside the ``with``.

    :raises OSError: Its directory cannot be opened.
    """
    if len(os.fsencode(path)) <= LONGEST:
        yield path
        return
    folder, name = os.path.split(path)
    descriptor = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
