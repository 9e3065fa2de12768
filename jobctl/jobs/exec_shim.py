"""
Begin a new session, then become the program given: ``setsid(1)`` for systems without it.

Run as a script under ``python -I -S``, so it imports nothing of ours.
"""

import os
import sys


def main(argv: list[str]) -> None:
    """:param argv: Absolute path of the program, then its arguments."""
    os.setsid()
    try:
        os.execv(argv[0], argv)
    except OSError as why:
        os.write(2, f"failed to execute {argv[0]}: {why.strerror}\n".encode())
        os._exit(126)


if __name__ == "__main__":
    main(sys.argv[1:])
