"""``tcp_smtp_client``: the SMTP client for ``tcp_*`` channels, many connections in one process."""

import sys

from channels.tcp.client import Client
from channels.tcp.process import greeting, run

NAME = "tcp_smtp_client"


def main() -> int:
    """Run under the Job Controller; returns the exit status."""
    # One piece of a large message comes by itself: a hundred of them in hand must not fill the
    # memory.  Once such a message is being sent, several pieces at a time are asked for.
    return run(NAME, Client, greeting(NAME, window=1))


if __name__ == "__main__":
    sys.exit(main())
