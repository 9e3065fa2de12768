"""Content from a client to a next hop through the whole daemon, changed where an option or the next hop asks for it."""

import smtplib

import pytest

from tests.configurations import GATEWAY
from tests.daemon import Daemon, until
from tests.mime_trees import leaves
from tests.smtp_peers import CollectingServer

OPTIONS = """
[channel.tcp_local.headerread.X-Internal]
MAXIMUM = -1
[channel.@OUT@.headertrim.X-Old]
RELABEL = "X-New"
[rewrite]"""
HEADER = (
    b"X-Internal: 10.0.0.1\r\nX-Old: kept\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\n"
)
LINE = "Gr\u00fc\u00dfe, and words that have no need of any encoding at all.\r\n".encode()


@pytest.mark.real
@pytest.mark.parametrize(
    ("out", "domain"), [("tcp_gateway", "fast.example"), ("test_smtp_gateway", "partner.example")]
)
def test_undeclared_content_reaches_a_peer_that_takes_seven_bits(tmp_path, out, domain):
    """Small or large, what no client declared arrives encoded, with the header that the channels' options make."""
    sink = CollectingServer(eight=False)
    text = GATEWAY.replace("[rewrite]", OPTIONS.replace("@OUT@", out), 1)
    bodies = [LINE, LINE * 20_000]
    try:
        with Daemon(tmp_path, text, GATEWAY=sink.port) as daemon:
            daemon.await_listening()
            with smtplib.SMTP("127.0.0.1", daemon.port) as client:
                for body in bodies:
                    client.sendmail("ann@x.example", [f"bob@{domain}"], HEADER + body)
            until(lambda: len(sink.taken) == 2, 60)
    finally:
        sink.close()
    assert sorted(leaves(one.content)[0][1] for one in sink.taken) == sorted(bodies)
    for one in sink.taken:
        assert one.content.isascii() and b"BODY=" not in one.sender
        header = one.content.partition(b"\r\n\r\n")[0]
        assert b"X-New: kept" in header and b"X-Old" not in header and b"X-Internal" not in header
