"""The parts channel programs are made of, without processes."""

import contextlib
import errno
import os
import re
import socket
import tempfile
import threading

import msgspec
import pytest

from channels.kit import loop as loop_module
from channels.kit.attach import attach
from channels.kit.debug import Transcript
from channels.kit.link import Assignment, JobLink
from channels.kit.log_stream import say
from channels.kit.loop import Loop, Outlet, enlarge_pipe, read_some
from channels.kit.sent import Announcements, journal_descriptor
from channels.kit.startup import CannotStart, read_start
from jobctl.errors import ProtocolViolation
from jobctl.jobprotocol.codec import encode, from_program
from jobctl.jobprotocol.frames import (
    MAX_REPLY,
    Accepted,
    Ask,
    HelloController,
    HelloProgram,
    Message,
    Report,
    Sent,
    Stop,
)
from jobctl.mail.disposition import Disposition, Verdict
from tests.kit_support import channel, message

HELLO = HelloController(
    version=1, job="j", channel="x", role="master", settings=msgspec.to_builtins(channel())
)


def greeted_link():
    link = JobLink("p")
    link.receive(encode(HELLO))
    link.take_output()
    return link


def said(link):
    return [frame for frame, _ in from_program().feed(link.take_output())]


class TestJobLink:
    def test_every_cut(self):
        """However the controller's octets are cut, the same assignments with the same content come out."""
        wire = (
            encode(HELLO)
            + encode(message("E1", octets=6, more=True), b"abc")
            + encode(Message(id="E1"), b"def")
        )
        wire += encode(message("E2")) + encode(Stop())
        for cut in range(len(wire) + 1):
            link = JobLink("p")
            events = link.receive(wire[:cut]) + link.receive(wire[cut:])
            assert [type(event) for event in events] == [HelloController, Assignment, Assignment, Stop]
            first, second = events[1:3]
            assert (first.take(), first.take(), first.take(), first.complete) == (b"abc", b"def", None, True)
            assert second.complete and second.take() is None
            assert link.stopping

    def test_pieces_are_asked_for(self):
        """Each piece that is taken lets another come, but not after the last."""
        link = greeted_link()
        [assignment] = link.receive(encode(message(octets=9, more=True), b"abc"))
        assert not assignment.complete
        assert assignment.take() == b"abc"
        assert said(link) == [Ask(id="E1", n=1)]
        assert assignment.take() is None and not assignment.complete
        link.receive(encode(Message(id="E1", more=True), b"def") + encode(Message(id="E1"), b"ghi"))
        assert (assignment.take(), assignment.take()) == (b"def", b"ghi")
        assert said(link) == []
        assert assignment.complete

    def test_pieces_after_the_verdict_are_dropped(self):
        """Pieces already on their way when the verdict was given do no harm."""
        link = greeted_link()
        link.receive(encode(message(octets=9, more=True), b"abc"))
        link.report(Report(id="E1", verdict=Verdict.FAILED))
        assert link.receive(encode(Message(id="E1", more=True), b"def")) == []

    def test_reports_can_wait(self):
        """Only reports may be held back for others; everything else is hurried."""
        link = greeted_link()
        assert not link.hurried
        link.report(Report(id="E1"))
        assert not link.hurried and link.waiting == 1
        link.ask(3)
        assert link.hurried and [type(frame) for frame in said(link)] == [Report, Ask]
        assert not link.hurried and link.take_output() == b""

    def test_words_without_end(self):
        """However much a peer says, for however many recipients, the report is one the controller takes."""
        link = greeted_link()
        long = "550 " + "x" * 60_000
        many = tuple(Disposition(f"u{number}@y", Verdict.FAILED, "5.1.1", long) for number in range(2000))
        link.report(Report(id="E1", verdict=Verdict.FAILED, reply=long))
        link.report(Report(id="E2", results=many))
        one, all_of_them = said(link)
        assert len(one.reply) == MAX_REPLY
        assert len(all_of_them.results) == 2000
        assert all(verdict.reply.startswith("550 xxx") for verdict in all_of_them.results)

    def test_hello(self):
        """It introduces itself first, with version, name and window."""
        link = JobLink("p", connections=3, window=5)
        [hello] = said(link)
        assert isinstance(hello, HelloProgram)
        assert (hello.version, hello.name, hello.connections, hello.window) == (1, "p", 3, 5)

    @pytest.mark.parametrize(
        "wire",
        [
            encode(Stop()),
            encode(HELLO) + encode(HELLO),
            encode(HelloController(**{**msgspec.structs.asdict(HELLO), "version": 2})),
        ],
    )
    def test_violations(self, wire):
        """A controller that does not say hello once, first, and in our version is not obeyed."""
        with pytest.raises(ProtocolViolation):
            JobLink("p").receive(wire)

    def test_credit_for_submissions_is_no_event(self):
        """Credit that the controller gives for pieces is allowed and needs no answer."""
        assert greeted_link().receive(encode(Ask(n=1, id="1"))) == []

    def test_answers_are_events(self):
        """What is no assignment is handed on as it is."""
        assert greeted_link().receive(encode(Accepted(id="1", ids=("E1",)))) == [
            Accepted(id="1", ids=("E1",))
        ]


class TestAnnouncements:
    def test_one_write_for_many(self, tmp_path):
        """Dots of one turn are announced with one write, each on its line."""
        path = tmp_path / "sent"
        journal = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        link = greeted_link()
        announcements = Announcements(link, journal)
        announcements.publish()
        announcements.add("E1", 1)
        announcements.add("E2", 7)
        assert path.read_bytes() == b""
        announcements.publish()
        announcements.publish()
        os.close(journal)
        assert path.read_bytes() == b"E1 1\nE2 7\n"
        assert not announcements.by_frame and said(link) == []

    def test_full_disk(self):
        """When the journal cannot be written, frames announce what it should have held, and all after it."""
        link = greeted_link()
        full = os.open("/dev/full", os.O_WRONLY)
        announcements = Announcements(link, full)
        announcements.add("E1", 1)
        announcements.publish()
        assert said(link) == [Sent(id="E1")] and announcements.by_frame
        announcements.add("E2", 1)
        announcements.publish()
        assert said(link) == [Sent(id="E2")]
        os.close(full)

    @pytest.mark.parametrize(
        "text, found", [("1", 1), ("", None), ("x", None), ("9999", None), ("²", None), ("-1", None)]
    )
    def test_descriptor(self, text, found):
        """JOBCTL_SENT_FD counts only when it names an open descriptor."""
        assert journal_descriptor({"JOBCTL_SENT_FD": text}) == found
        assert journal_descriptor({}) is None


def dialogue(transcript, client):
    commands, replies = transcript.commands, transcript.replies
    steps = [
        (replies, b"220 hi\r\n"),
        (commands, b"EHLO me\r\n"),
        (replies, b"250-hi\r\n250 PIPELINING\r\n"),
        (commands, b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"),
        (replies, b"250 ok\r\n550 no\r\n354 go\r\n"),
        (commands, b"Subject: s\r\n\r\nsecret\r\n.\r\nMAIL FROM:<>\r\nDATA\r\n"),
        (replies, b"250 taken\r\n250 ok\r\n503 no\r\n"),
        (commands, b"AUTH PLAIN c2VjcmV0\r\n"),
        (replies, b"334 \r\n"),
        (commands, b"c2VjcmV0\r\n"),
        (replies, b"235 ok\r\n"),
        (commands, b"NOOP \x1b[31m\xff\r\n"),
    ]
    return steps


class TestTranscript:
    @pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
    @pytest.mark.parametrize("client", [True, False])
    def test_lines(self, size, client):
        """Lines in their direction, content by its size, no secret, no control character; however cut."""
        lines = []
        transcript = Transcript(client, lines.append, lambda: 0.257)
        for feed, octets in dialogue(transcript, client):
            for at in range(0, len(octets), size):
                feed(octets[at : at + size])
        assert all(re.fullmatch(r"\d\d:\d\d:00\.25: .*", line) for line in lines)
        ours, theirs = ("Sending", "Received") if client else ("Received", "Sending")
        assert [line[13:] for line in lines] == [
            f'{theirs} : "220 hi"',
            f'{ours} : "EHLO me"',
            f'{theirs} : "250-hi"',
            f'{theirs} : "250 PIPELINING"',
            f'{ours} : "MAIL FROM:<a@b>"',
            f'{ours} : "RCPT TO:<c@d>"',
            f'{ours} : "DATA"',
            f'{theirs} : "250 ok"',
            f'{theirs} : "550 no"',
            f'{theirs} : "354 go"',
            f"{ours} : 22 octets of content",
            f'{ours} : "."',
            f'{ours} : "MAIL FROM:<>"',
            f'{ours} : "DATA"',
            f'{theirs} : "250 taken"',
            f'{theirs} : "250 ok"',
            f'{theirs} : "503 no"',
            f'{ours} : "AUTH PLAIN ***"',
            f'{theirs} : "334 "',
            f'{ours} : "***"',
            f'{theirs} : "235 ok"',
            f'{ours} : "NOOP \\x1b[31m\\xff"',
        ]

    def test_content_before_the_reply(self):
        """Octets behind DATA are shown as what they turn out to be: content after 354, commands otherwise."""
        for reply, shown in [(b"354 go\r\n", "3 octets of content"), (b"554 no\r\n", '"x"')]:
            lines = []
            transcript = Transcript(False, lines.append)
            transcript.commands(b"DATA\r\nx\r\n.\r\n")
            transcript.replies(reply)
            assert lines[2].endswith(f"Received : {shown}")

    @pytest.mark.parametrize("size", [1, 7, 1000])
    @pytest.mark.parametrize(
        ("replies", "shown"),
        [
            (b"334 x\r\n334 y\r\n235 ok\r\n250 ok\r\n", ["AUTH LOGIN", "***", "***", "NOOP"]),
            (b"538 no\r\n500 ?\r\n500 ?\r\n250 ok\r\n", ["AUTH LOGIN", "***", "***", "NOOP"]),
            (b"334 x\r\n501 no\r\n500 ?\r\n250 ok\r\n", ["AUTH LOGIN", "***", "***", "NOOP"]),
        ],
    )
    def test_secrets_sent_ahead(self, size, replies, shown):
        """Responses that a client does not wait to be asked for are hidden too, wanted or not."""
        lines = []
        transcript = Transcript(False, lines.append)
        ahead = b"AUTH LOGIN\r\nYW5u\r\nc2VjcmV0\r\nNOOP\r\n"
        for feed, octets in ((transcript.commands, ahead), (transcript.replies, replies)):
            for at in range(0, len(octets), size):
                feed(octets[at : at + size])
        assert [line.split('"')[1] for line in lines if "Received" in line] == shown

    def test_empty_content(self):
        """A message without any content ends at its dot."""
        lines = []
        transcript = Transcript(True, lines.append)
        transcript.commands(b"DATA\r\n")
        transcript.replies(b"354 go\r\n")
        transcript.commands(b".\r\nQUIT\r\n")
        assert [line[13:] for line in lines[2:]] == [
            "Sending : 0 octets of content",
            'Sending : "."',
            'Sending : "QUIT"',
        ]

    def test_long_lines_are_cut(self):
        """No line of the peer's makes a line of the log without end."""
        lines = []
        transcript = Transcript(True, lines.append)
        for _ in range(100):
            transcript.replies(b"x" * 10_000)
        transcript.replies(b"\n")
        assert len(lines) == 1 and len(lines[0]) < 600


class TestLoop:
    def test_outlet_never_waits(self):
        """What a pipe does not take is kept, written when there is room, and arrives whole and in order."""
        reading, writing = os.pipe()
        loop, octets = Loop(), os.urandom(3_000_000)
        outlet = Outlet(loop, writing, pytest.fail)
        assert not os.get_blocking(writing)
        for at in range(0, len(octets), 100_000):
            outlet.write(octets[at : at + 100_000])
            outlet.flush()
        assert outlet.full and outlet.pending == len(octets) - outlet.written
        got = b""
        while outlet.pending:
            got += os.read(reading, 1 << 20)
            loop.wait(0)
        outlet.restore()
        assert os.get_blocking(writing)
        os.close(writing)
        while data := os.read(reading, 1 << 20):
            got += data
        os.close(reading)
        assert got == octets and outlet.written == len(octets)

    def test_outlet_without_reader(self):
        """When the reader is gone that is told once, and nothing is kept."""
        reading, writing = os.pipe()
        loop, told = Loop(), []
        outlet = Outlet(loop, writing, told.append)
        outlet.write(b"x" * 1_000_000)
        outlet.flush()
        os.close(reading)
        loop.wait(0)
        outlet.write(b"more")
        outlet.flush()
        assert told == [os.strerror(errno.EPIPE)] and outlet.broken and not outlet.pending
        loop.wait(0)
        os.close(writing)

    def test_files_and_terminals_are_left_as_they_are(self, tmp_path):
        """A file is written at once and stays blocking."""
        fd = os.open(tmp_path / "f", os.O_WRONLY | os.O_CREAT)
        outlet = Outlet(Loop(), fd, pytest.fail)
        outlet.write(b"x" * 1_000_000)
        outlet.flush()
        assert not outlet.pending and os.get_blocking(fd)
        enlarge_pipe(fd)
        outlet.restore()
        os.close(fd)
        assert (tmp_path / "f").stat().st_size == 1_000_000

    def test_regular_files_can_be_read(self, tmp_path):
        """Standard input may be a file: it is ready at once, up to its end."""
        (tmp_path / "f").write_bytes(b"x" * 10)
        fd = os.open(tmp_path / "f", os.O_RDONLY)
        loop, got = Loop(), []
        loop.reading(fd, lambda: got.append(read_some(fd)))
        loop.wait(None)
        loop.wait(None)
        assert got == [b"x" * 10, b""]
        loop.reading(fd, None)
        loop.reading(fd, None)
        os.close(fd)

    def test_hang_up_does_not_spin(self):
        """A descriptor that nobody waits for is not reported, even when its other end is gone."""
        ours, theirs = socket.socketpair()
        loop = Loop()
        loop.reading(ours.fileno(), pytest.fail)
        loop.reading(ours.fileno(), None)
        theirs.close()
        loop.wait(0)
        ours.close()

    def test_reading_nothing_and_errors(self):
        """No octets after all is not the end; a broken connection is."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        assert read_some(ours.fileno()) is None
        theirs.close()
        assert read_some(ours.fileno()) == b""
        ours.close()
        assert read_some(-1) == b""

    def test_time(self, monkeypatch):
        """A wait is never cut short by rounding, and never negative."""
        asked = []

        class Poll:
            def poll(self, limit):
                asked.append(limit)
                return []

        monkeypatch.setattr(loop_module.select, "poll", Poll)
        loop = Loop()
        for seconds in (None, 0.0001, 1.5, -3):
            loop.wait(seconds)
        assert asked == [None, 1, 1500, 0]


class TestStart:
    def test_surroundings(self):
        """Everything a program is told by its environment."""
        start = read_start(
            "p",
            ["--config", "/c"],
            {
                "PMDF_CHANNEL": "x",
                "TRANSPORTINFO": "TCP|192.0.2.1|25|192.0.2.2|99",
                "APPLICATIONINFO": "SMTP/a",
                "PMDF_CHANNEL_OPTION": "/o",
                "JOBCTL_CONFIG": "/d",
            },
        )
        assert (start.channel, start.controlled, start.config, start.option_file) == ("x", False, "/c", "/o")
        assert (
            start.transport.remote_ip == "192.0.2.2" and start.application == "SMTP/a" and not start.warnings
        )

    def test_defaults(self):
        """Nothing but the channel is needed."""
        start = read_start("p", [], {"PMDF_CHANNEL": "x"})
        assert (start.config, start.option_file, start.application) == (None, None, "SMTP")
        assert start.transport.text == ""

    def test_no_channel(self):
        """Without a channel nothing starts."""
        with pytest.raises(CannotStart) as why:
            read_start("p", [], {})
        assert why.value.status == 78


class TestAttach:
    @pytest.mark.parametrize(
        "answer, status",
        [
            (b"", 75),
            (b"SSH-2.0\n", 75),
            (b"[]\n", 75),
            (b'{"error":{"text":"no","exit":"x"}}\n', 75),
            (b'{"error":{"text":"no","exit":77}}\n', 77),
            (b"x" * 200_000, 75),
        ],
    )
    def test_answers_that_are_none(self, answer, status):
        """Whatever answers at the socket, the run ends with one line and a status."""
        with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
            path = os.path.join(directory, "s")
            listener.bind(path)
            listener.listen()

            def serve():
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1000)
                    with contextlib.suppress(OSError):
                        connection.sendall(answer)

            server = threading.Thread(target=serve)
            server.start()
            with pytest.raises(CannotStart) as why:
                attach(path, "x", "master")
            server.join()
        assert why.value.status == status and "\n" not in why.value.text

    def test_silence(self, monkeypatch, tmp_path):
        """A controller that takes the connection and says nothing is not waited for without end."""
        monkeypatch.setattr("channels.kit.attach.PATIENCE", 0.05)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "s"))
            listener.listen()
            with pytest.raises(CannotStart, match="no answer within") as why:
                attach(str(tmp_path / "s"), "x", "master")
        assert why.value.status == 75

    def test_not_allowed(self, monkeypatch, tmp_path):
        """A socket one may not use is another matter than a daemon that is not there."""

        def refuse(*_):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        with pytest.raises(CannotStart) as why:
            attach(str(tmp_path / "s"), "x", "master")
        assert why.value.status == 77

    def test_first_frames_may_come_with_the_answer(self, tmp_path):
        """What the controller says right behind its answer is not lost."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "s"))
            listener.listen()

            def serve():
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(b'{"id":1,"result":{"attached":true}}\n{"op":"hel')

            server = threading.Thread(target=serve)
            server.start()
            link, rest = attach(str(tmp_path / "s"), "x", "master")
            server.join()
            link.close()
        assert rest == b'{"op":"hel'


def test_say_survives_a_closed_log(monkeypatch, capsys):
    """A log that nobody reads never stops the mail; a message is always one line."""
    say("two\nlines")
    assert capsys.readouterr().err == "two lines\n"

    class Broken:
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Broken())
    say("unheard")
