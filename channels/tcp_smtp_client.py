"""``tcp_smtp_client``: the SMTP client for ``tcp_*`` channels, many connections in one process."""

import sys

from channels.tcp.client import Client
from channels.tcp.process import run


def main() -> int:
    """Run under the Job Controller; returns the exit status."""
    return run("tcp_smtp_client", Client)


if __name__ == "__main__":
    sys.exit(main())
