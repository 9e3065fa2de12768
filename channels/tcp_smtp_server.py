"""``tcp_smtp_server``: the SMTP server for ``tcp_*`` channels, many connections in one process."""

import sys

from channels.tcp.process import run
from channels.tcp.server import Server


def main() -> int:
    """Run under the Job Controller; returns the exit status."""
    return run("tcp_smtp_server", Server)


if __name__ == "__main__":
    sys.exit(main())
