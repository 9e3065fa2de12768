"""``tcp_smtp_server``: the SMTP server for ``tcp_*`` channels, many connections in one process."""

import sys

from channels.tcp.process import greeting, run
from channels.tcp.server import Server

NAME = "tcp_smtp_server"


def main() -> int:
    """Run under the Job Controller; returns the exit status."""
    return run(NAME, Server, greeting(NAME))


if __name__ == "__main__":
    sys.exit(main())
