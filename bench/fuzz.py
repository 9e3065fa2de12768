"""
``python -m bench.fuzz [--steps N] [--seed N]``: both SMTP dialogues against their references for so many steps each.

A step is a command of a client, or a reply of a server (or its loss). The same walks, shorter, are in
``tests/test_smtp_server_model.py`` and ``tests/test_smtp_client_fuzz.py``.
"""

import argparse
import time

from tests.smtp_client_reference import walk_client
from tests.smtp_reference import walk_server


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for name, walk in (("server", walk_server), ("client", walk_client)):
        begun = time.monotonic()
        sessions = walk(given.seed, given.steps)
        took = time.monotonic() - begun
        print(
            f"{name}: {given.steps} steps in {sessions} sessions, {took:.0f} s, no disagreement", flush=True
        )


if __name__ == "__main__":
    main()
