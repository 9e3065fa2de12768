"""
Begin a new session, set limits, then become the program given.

``setsid(1)`` and ``prlimit(1)`` for systems without them.  Run as a script
under ``python -I -S``, so it imports nothing of ours.
"""

import os
import sys


def main(argv: list[str]) -> None:
    """:param argv: ``--NAME=SOFT:HARD`` for each limit, absolute path of the program, its arguments."""
    os.setsid()
    while argv[0].startswith("--"):
        _limit(argv.pop(0))
    try:
        os.execv(argv[0], argv)
    except OSError as why:
        os.write(2, f"failed to execute {argv[0]}: {why.strerror}\n".encode())
        os._exit(126)


def _limit(option: str) -> None:
    import resource

    name, _, value = option.removeprefix("--").partition("=")
    soft, hard = value.split(":")
    resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (int(soft), int(hard)))


if __name__ == "__main__":
    main(sys.argv[1:])
