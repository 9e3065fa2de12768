"""Telling systemd how far we are: the protocol of sd_notify(3), for units of ``Type=notify-reload``."""

import contextlib
import os
import socket
import time


def tell(state: str) -> None:
    """
    Say ``READY``, ``RELOADING`` or ``STOPPING``; nothing is done where nobody wants to know.

    Never fails: it is a courtesy.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    text = f"{state}=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}\n"
    name = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.setblocking(False)
        out.sendto(text.encode(), name)
