"""No hop of ours can be smuggled through: false ends of content, in and out, DATA and BDAT, clear and TLS."""

import random
import re
import socket
import ssl
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.smtp.events import NeedContent
from jobctl.smtp.questions import Finished
from tests.certificates import Authority
from tests.configurations import PLACES
from tests.daemon import Daemon, until
from tests.ports import free_port
from tests.smtp_dialogues import Client, Server
from tests.smtp_peers import without_trace
from tests.smtp_readers import Reader, RecordingServer

# Postfix's CVE-2023-51764, Sendmail's -51765, Exim's -51766, and their relatives.
FALSE_ENDS = {
    "LF.LF": b"\n.\n",
    "LF.CRLF": b"\n.\r\n",
    "CR.CR": b"\r.\r",
    "CR.CRLF": b"\r.\r\n",
    "CR.LF": b"\r.\n",
    "LF.CR": b"\n.\r",
    "CRLF.LF": b"\r\n.\n",
    "CRLF.CR": b"\r\n.\r",
    "CRLF.CR NUL": b"\r\n.\r\x00\n",
    "CRLF NUL.CRLF": b"\r\n\x00.\r\n",
    "CRCRLF.CRLF": b"\r\r\n.\r\r\n",
    "LFCR.CRLF": b"\n\r.\r\n",
}
HIDDEN = b"MAIL FROM:<evil@x.example>\r\nRCPT TO:<victim@x.example>\r\nDATA\r\nsmuggled\r\n"
WAYS = ("DATA", "BDAT", "BDAT cut in the end")


def sent(way: str, false_end: bytes) -> bytes:
    """A message with the false end inside, by DATA or BDAT, and what hides behind it."""
    content = b"Subject: first\r\n\r\nfirst" + false_end + HIDDEN
    if way == "DATA":
        return b"DATA\r\n" + content + b".\r\n"
    if way == "BDAT":
        return b"BDAT %d LAST\r\n" % len(content) + content
    cut = content.index(false_end) + len(false_end) // 2
    return b"BDAT %d\r\n%bBDAT %d LAST\r\n%b" % (cut, content[:cut], len(content) - cut, content[cut:])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("secured", [False, True], ids=["clear", "TLS"])
@pytest.mark.parametrize("keyword", ["crlf", "crorlf", "lf", "cr"])
def test_a_false_end_makes_one_message_or_none(keyword: str, secured: bool, way: str) -> None:
    """Whatever line ends the channel allows: each false end is inside one message, or the message is refused."""
    for name, false_end in FALSE_ENDS.items():
        server = Server(smtp=keyword, hello="EHLO c")
        if secured:
            server.dialogue.secured("TLSv1.3/X")
            server.say("EHLO c")
        server.say("MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>")
        said = server.send(sent(way, false_end)).splitlines()[-1]
        messages = server.told(Finished)
        refused = said.startswith("5")
        assert refused or said == "250 2.5.0 Ok.", (name, said)
        assert len(messages) == (not refused), name
        for each in messages:
            assert each.envelope.sender == "a@b.c"
            assert b"smuggled" in each.data
            assert not re.search(rb"\r(?!\n)|(?<!\r)\n", each.data), name
        if keyword == "crlf":
            assert refused == (name != "CRLF NUL.CRLF"), name
        assert server.say("NOOP") == "250 2.5.0 Ok.", name


OCTETS = st.one_of(
    st.lists(
        st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"\x00", b"ab", HIDDEN, *FALSE_ENDS.values()]),
        max_size=12,
    ).map(b"".join),
    st.binary(max_size=80),
)


@settings(deadline=None, max_examples=250)
@given(OCTETS, st.sampled_from(["", "PIPELINING", "PIPELINING\nCHUNKING"]), st.integers(1, 20))
def test_any_octets_leave_as_one_message(content: bytes, offers: str, cut: int) -> None:
    """What we send is one message to a strict and to a lax server alike, with the same octets."""
    client = Client(offers)
    wire = client.begin(octets=len(content)).encode("latin-1")
    replies = ["250 ok", "250 ok"] if "CHUNKING" in offers else ["250 ok", "250 ok", "354 go"]
    for reply in replies:
        wire += b"\n" + client.hear(reply).encode("latin-1")
    assert any(isinstance(event, NeedContent) for event in client.events)
    wire = wire.replace(b"\n\n", b"\n").replace(b"\n", b"\r\n")  # as the test's client shows it
    for at in range(0, len(content), cut):
        client.dialogue.feed(content[at : at + cut])
    client.dialogue.finish()
    wire = wire.strip(b"\r\n") + b"\r\n" + client.dialogue.take_output()
    expected = re.sub(rb"\r\n|\r|\n", b"\r\n", content)
    if expected and not expected.endswith(b"\r\n"):
        expected += b"\r\n"
    for lax in (False, True):
        (seen,) = Reader(wire, lax).messages
        assert seen.content == expected
        assert seen.sender.startswith(b"MAIL FROM:<ann@example.org>")


CONFIGURATION = (
    PLACES
    + """
[channel.l]
official_host_name = "mail.example.org"
"""
)
IN = """
[dispatcher.service.{name}]
listen = ["tcp:{port}:interface=127.0.0.1"]
channel = "{channel}"
relay_from = ["127.0.0.0/8"]
tls_certificate = "{certificate}"
[channel.{channel}]
official_host_name = "{name}-daemon"
smtp = "{keyword}"
maytlsserver = true
"""
OUT = """
[channel.{channel}]
official_host_name = "{name}-daemon"
smtp = true
daemon = "[127.0.0.1]"
port = {port}
tls_policy = "{policy}"
"""


class Wire:
    """A client that sends octets as it is told, in the clear or not."""

    def __init__(self, port: int, authority: Authority | None) -> None:
        self._socket: socket.socket = socket.create_connection(("127.0.0.1", port), 30)
        self._in = self._socket.makefile("rb")
        self.reply()
        self.say(b"EHLO c.example\r\n")
        if authority is not None:
            assert self.say(b"STARTTLS\r\n").startswith(b"220")
            context = ssl.create_default_context(cafile=str(authority.file))
            self._socket = context.wrap_socket(self._socket, server_hostname="127.0.0.1")
            self._in = self._socket.makefile("rb")
            self.say(b"EHLO c.example\r\n")

    def reply(self) -> bytes:
        """The next whole reply's last line."""
        while (line := self._in.readline())[3:4] == b"-":
            pass
        return line

    def say(self, octets: bytes, replies: int = 1) -> bytes:
        """Send; the last of so many replies."""
        self._socket.sendall(octets)
        return [self.reply() for _ in range(replies)][-1]

    def close(self) -> None:
        """QUIT."""
        assert self.say(b"QUIT\r\n").startswith(b"221")
        self._in.close()
        self._socket.close()


def through(port: int, authority: Authority | None, to: bytes) -> int:
    """Send every false end in every way on one connection; how many messages were taken."""
    wire = Wire(port, authority)
    taken = 0
    for name, false_end in FALSE_ENDS.items():
        for way in WAYS:
            wire.say(b"MAIL FROM:<ann@a.example>\r\nRCPT TO:<%b>\r\n" % to, 2)
            said = wire.say(sent(way, false_end), 1 if way == "BDAT" else 2)
            assert said[:1] in b"25", (name, way, said)
            taken += said.startswith(b"250")
            assert wire.say(b"RSET\r\n").startswith(b"250"), (name, way)
    wire.close()
    return taken


@pytest.mark.real
def test_nothing_is_smuggled_through_a_whole_daemon(tmp_path: Path) -> None:
    """
    Both servers, strict and forgiving, in the clear and under TLS, and both clients towards servers with and
    without CHUNKING and TLS: as many messages leave as were taken, each is one to a strict and to a lax reader,
    and no hidden command is ever a command.
    """
    authority = Authority(tmp_path)
    certificate = str(authority.issue("mail.example.org", "127.0.0.1"))
    text = CONFIGURATION
    ways_in = {}
    for keyword in ("smtp_crlf", "smtp_crorlf"):
        for kind in ("tcp", "test_smtp"):
            name = f"{kind}_{keyword}"
            ways_in[name] = free_port()
            text += IN.format(
                name=name, port=ways_in[name], channel=name, certificate=certificate, keyword=keyword
            ).replace(f'smtp = "{keyword}"', f"{keyword} = true")
    peers = {
        "data": RecordingServer("PIPELINING"),
        "bdat": RecordingServer("PIPELINING", "CHUNKING"),
        "tls": RecordingServer("PIPELINING", "CHUNKING", certificate=certificate),
    }
    routes = ""
    for peer, server in peers.items():
        for kind in ("tcp", "test_smtp"):
            name = f"{kind}_out_{peer}"
            policy = "must" if peer == "tls" else "none"
            text += OUT.format(name=name, channel=name, port=server.port, policy=policy)
            routes += f'"{peer}.{kind.replace("_", "-")}.example" = "{name}"\n'
    targets = [f"{peer}.{kind}.example" for peer in peers for kind in ("tcp", "test-smtp")]
    taken: dict[str, int] = dict.fromkeys(peers, 0)
    try:
        with Daemon(tmp_path, f"{text}[rewrite]\n{routes}", measured=False) as daemon:
            rotation = [target for target in targets for _ in range(2)]
            for name, port in ways_in.items():
                for secured in (None, authority):
                    target = rotation.pop(0)
                    count = through(port, secured, f"bob@{target}".encode())
                    assert (count > 3) == ("crorlf" in name), (name, count)
                    taken[target.split(".")[0]] += count
            generator = random.Random(7)
            for target in targets:
                parts = [b"\r", b"\n", b".", b"\r\n", b"x", b"\x00", b"\xff", HIDDEN, *FALSE_ENDS.values()]
                octets = b"".join(generator.choices(parts, k=200))
                (tmp_path / "octets").write_bytes(b"Subject: odd\r\n\r\n" + octets)
                done = daemon.command(
                    "enqueue", "--from", "ann@a.example", "--to", f"bob@{target}", str(tmp_path / "octets")
                )
                assert done.returncode == 0, done.stderr
                taken[target.split(".")[0]] += 1
            until(
                lambda: all(len(server.messages(False)) >= taken[name] for name, server in peers.items()),
                60,
                f"{taken} {daemon.log[-2000:]}",
            )
            until(lambda: not any(row["messages"] for row in daemon.summary().values()), 30)
        for peer, server in peers.items():
            strict, lax = server.messages(False), server.messages(True)
            assert strict == lax
            assert len(strict) == taken[peer]
            assert all(seen.sender.startswith(b"MAIL FROM:<ann@a.example>") for seen in strict)
            assert all(b"smuggled" in without_trace(seen.content) for seen in strict)
        assert peers["tls"].encrypted > 0
    finally:
        for server in peers.values():
            server.close()
