"""maildir_master: mail that arrives somewhere, once, and for good."""

import errno
import os
import re
from collections import deque
from types import SimpleNamespace

import pytest

from channels import maildir_master
from channels.kit import maildir
from channels.kit.link import Assignment, JobLink
from channels.kit.maildir import Copy, Maildir, Maildirs
from channels.maildir_master import MaildirMaster
from jobctl.config.settings import ChannelSettings
from jobctl.jobprotocol.frames import Ask, HelloController, Message, Report, Stop
from jobctl.mail.disposition import Verdict
from tests.kit_support import PIECE, Program, channel, message, pieces

MODULE = "channels.maildir_master"
MAIL = b"Subject: test\r\n\r\n.dot\r\n\xff\r\n"
LINES = MAIL.replace(b"\r\n", b"\n")


@pytest.fixture
def start(tmp_path):
    """Start the program for a Maildir under ``tmp_path``."""
    running = []

    def begin(path="Maildir", **settings):
        program = Program(MODULE)
        running.append(program)
        program.controller.hello(channel(smtp="nosmtp", maildir=str(tmp_path / path), **settings), "master")
        return program

    yield begin
    for program in running:
        program.__exit__()


def mails(path):
    return sorted(one.read_bytes() for one in (path / "new").iterdir())


def test_delivers(start, tmp_path):
    """Mail lies in new with sender and recipient, with the line ends of files; nothing is left in tmp."""
    program = start()
    program.controller.expect(Ask)
    program.controller.send(message(octets=len(MAIL), arrived=1_700_000_000.25), MAIL)
    report = program.controller.expect(Report)
    assert (report.verdict, report.status, report.reply) == (
        Verdict.DELIVERED,
        "2.1.5",
        "250 2.1.5 Delivered",
    )
    box = tmp_path / "Maildir"
    assert mails(box) == [b"Return-Path: <bob@x.example>\nDelivered-To: ann@y.example\n" + LINES]
    assert not list((box / "tmp").iterdir()) and (box / "cur").is_dir()
    [name] = os.listdir(box / "new")
    assert re.fullmatch(r"1700000000\.M250000QE1\.mail\.example\.org", name)
    assert os.stat(box / "new" / name).st_mode & 0o777 == 0o600
    program.controller.send(Stop())
    assert program.ends() == 0
    assert program.errors == ""


def test_many_at_once(start, tmp_path):
    """Many messages in hand are all delivered, each once."""
    program = start()
    credit = program.controller.expect(Ask).n
    for number in range(200):
        if not credit:
            credit = program.controller.expect(Ask).n
        program.controller.send(message(f"E{number}", octets=len(MAIL)), b"X-Number: %d\r\n" % number + MAIL)
        credit -= 1
    program.controller.send(Stop())
    reports = [one for one in program.controller.rest() if isinstance(one, Report)]
    assert {one.verdict for one in reports} == {Verdict.DELIVERED}
    numbers = {int(re.search(rb"X-Number: (\d+)", mail)[1]) for mail in mails(tmp_path / "Maildir")}
    assert numbers == set(range(200)) and len(mails(tmp_path / "Maildir")) == 200


def test_large_message(start, tmp_path):
    """Large content is written as it comes; a line end cut in two is still one line end."""
    content = b"Subject: large\r\n\r\n" + b"".join(b"%09d\r\n" % number for number in range(100_000))
    cut = content.index(b"\r\n", PIECE - 100) + 1
    parts = [content[:cut], *pieces(content[cut:])]
    program = start()
    program.controller.send(message(octets=len(content), more=True), parts[0])
    for number, piece in enumerate(parts[1:], 2):
        program.controller.expect(Ask, id="E1")
        program.controller.send(Message(id="E1", more=number < len(parts)), piece)
    assert program.controller.expect(Report).verdict is Verdict.DELIVERED
    [mail] = mails(tmp_path / "Maildir")
    assert mail.endswith(content.replace(b"\r\n", b"\n"))


@pytest.mark.parametrize("place", ["new", "cur"])
def test_second_delivery(start, tmp_path, place):
    """A message whose report was lost is not delivered twice, also when it was read in between."""
    first = start()
    first.controller.send(message(octets=len(MAIL), arrived=5.5), MAIL)
    first.controller.expect(Report)
    first.process.kill()
    box = tmp_path / "Maildir"
    if place == "cur":
        [name] = os.listdir(box / "new")
        os.rename(box / "new" / name, box / "cur" / f"{name}:2,S")
    second = start()
    second.controller.send(message(octets=len(MAIL), arrived=5.5), MAIL)
    second.controller.send(message("E2", octets=len(MAIL), arrived=5.5), MAIL)
    assert {second.controller.expect(Report).verdict for _ in range(2)} == {Verdict.DELIVERED}
    assert len(os.listdir(box / "new")) + len(os.listdir(box / "cur")) == 2
    assert not os.listdir(box / "tmp")


def test_mailbox_of_each_recipient(start, tmp_path):
    """With {local} and {domain} everybody has a mailbox; in a shared one there is one copy for all."""
    program = start("{domain}/{local}/Maildir")
    people = ("Ann@Y.example", "ben@y.example", "ann@y.example")
    program.controller.send(message(recipients=people, octets=len(MAIL)), MAIL)
    assert program.controller.expect(Report).verdict is Verdict.DELIVERED
    [ann] = mails(tmp_path / "y.example" / "ann" / "Maildir")
    assert ann.startswith(
        b"Return-Path: <bob@x.example>\nDelivered-To: Ann@Y.example\nDelivered-To: ann@y.example\n"
    )
    [ben] = mails(tmp_path / "y.example" / "ben" / "Maildir")
    assert b"ann" not in ben.split(b"\n\n")[0].lower()


@pytest.mark.parametrize(
    "address",
    [
        "../../etc/passwd@y.example",
        '"../x"@y.example',
        "..@..",
        "/abs@y.example",
        ".@.",
        '""@y.example',
        "a\0b@y",
        "x" * 60 + "@y",
    ],
)
def test_no_address_leads_out(tmp_path, address):
    """Whatever the address, its mailbox lies below the configured directory."""
    path = Maildirs(str(tmp_path) + "/{domain}/{local}").path_of(address)
    assert "\0" not in path
    assert os.path.normpath(path) == path
    assert path.startswith(f"{tmp_path}/") and path.count("/") == str(tmp_path).count("/") + 2


def test_addresses_do_not_share_mailboxes(tmp_path):
    """Different addresses never meet in one mailbox by what is done to their names."""
    boxes = Maildirs("/m/{local}@{domain}")
    addresses = ["a/b@y", '"a%2Fb"@y', "a.b@y", ".ab@y", '"%2Eab"@y', "ä@y", '"%C3%A4"@y']
    assert len({boxes.path_of(one) for one in addresses}) == len(addresses)


def test_header_is_not_injected(start, tmp_path):
    """An envelope address with line ends in it makes no header fields."""
    program = start()
    program.controller.send(
        message(recipients=("a\r\nX-Evil: 1@y",), sender="b\nX-Evil: 2", octets=len(MAIL)), MAIL
    )
    program.controller.expect(Report)
    [mail] = mails(tmp_path / "Maildir")
    assert b"\nX-Evil" not in mail


def test_no_maildir_configured():
    """A channel without a Maildir: one line that names the key, exit status 78."""
    with Program(MODULE) as program:
        program.controller.hello(channel(), "master")
        assert program.ends() == 78
        assert program.errors.count("\n") == 1 and "maildir" in program.errors


def test_mailbox_that_cannot_be_made(start, tmp_path):
    """A mailbox that cannot be written is a temporary trouble of its recipient alone."""
    (tmp_path / "ben").write_text("in the way")
    program = start("{local}")
    program.controller.send(message(recipients=("ann@y.example", "ben@y.example"), octets=len(MAIL)), MAIL)
    report = program.controller.expect(Report)
    assert report.verdict is Verdict.DELIVERED
    assert [(one.recipient, one.verdict, one.status) for one in report.results] == [
        ("ben@y.example", Verdict.DEFERRED, "4.3.0")
    ]


def test_controller_gone(start, tmp_path):
    """When the controller dies, what is not complete leaves nothing behind."""
    program = start()
    program.controller.send(message(octets=2 * len(MAIL), more=True), MAIL)
    program.controller.expect(Ask, id="E1")
    program.controller.close()
    assert program.ends() == 75
    assert not os.listdir(tmp_path / "Maildir" / "tmp")


class Desk:
    """What a duty needs of its run, without processes: full disks are made with functions."""

    def __init__(self, path):
        self.link = JobLink("maildir_master")
        self.link.receive(
            b'{"op":"hello","version":1,"job":"j","channel":"m","role":"master","settings":{}}\n'
        )
        self.progress = 0
        self.duty = MaildirMaster(self)
        self.duty.begin(
            HelloController(version=1, job="j", channel="m", role="master", settings={}),
            ChannelSettings(name="m", official_host_name="m", local_host="h.example", maildir=path),
        )
        self.reports = []
        self.link.report = self.reports.append

    def deliver(self, *messages):
        for one in messages:
            self.duty.hear(Assignment(one, MAIL, self.link))
        self.duty.turn()
        return {report.id: report for report in self.reports}


def failing(code, times=1, then=None):
    """A system call that fails so often, then works."""
    left = deque(range(times))

    def call(*arguments):
        if left:
            left.popleft()
            raise OSError(code, os.strerror(code))
        return then(*arguments)

    return call


@pytest.mark.parametrize(
    "code, status", [(errno.ENOSPC, "4.3.1"), (errno.EDQUOT, "4.2.2"), (errno.EIO, "4.3.0")]
)
@pytest.mark.parametrize("call", ["write", "fsync", "open", "link", "mkdir"])
def test_disk_trouble_is_temporary(tmp_path, monkeypatch, code, status, call):
    """A full, over-quota or broken disk: deferred, nothing left behind; the next attempt delivers."""
    desk = Desk(str(tmp_path / "Maildir"))
    if call in ("write", "fsync", "link"):
        Maildir(str(tmp_path / "Maildir"))
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(code, then=getattr(os, call)))
        report = desk.deliver(message(octets=len(MAIL)))["E1"]
    [verdict] = report.results
    assert report.verdict is None
    assert (verdict.verdict, verdict.status) == (Verdict.DEFERRED, status)
    assert not [file for _, _, files in os.walk(tmp_path) for file in files]
    assert desk.deliver(message(octets=len(MAIL)))["E1"].verdict is Verdict.DELIVERED
    assert len(mails(tmp_path / "Maildir")) == 1


def test_one_bad_file_does_not_spoil_the_batch(tmp_path, monkeypatch):
    """Of messages that are synchronised together, only those fail that could not be."""
    desk = Desk(str(tmp_path / "Maildir"))
    Maildir(str(tmp_path / "Maildir"))
    monkeypatch.setattr(os, "fsync", failing(errno.EIO, then=os.fsync))
    reports = desk.deliver(*(message(f"E{number}", octets=len(MAIL)) for number in range(5)))
    assert sorted(report.verdict is Verdict.DELIVERED for report in reports.values()) == [False] + [True] * 4
    assert len(mails(tmp_path / "Maildir")) == 4


def test_directory_that_cannot_be_synchronised(tmp_path, monkeypatch):
    """What was linked but may not last is withdrawn and deferred, never reported as delivered."""
    desk = Desk(str(tmp_path / "Maildir"))
    monkeypatch.setattr(maildir_master, "sync_directory", failing(errno.EIO))
    reports = desk.deliver(message("E1", octets=len(MAIL)), message("E2", octets=len(MAIL)))
    assert [report.results[0].verdict for report in reports.values()] == [Verdict.DEFERRED] * 2
    assert mails(tmp_path / "Maildir") == []


def test_one_synchronisation_for_many(tmp_path, monkeypatch):
    """However many messages come together, their directory is synchronised once."""
    desk = Desk(str(tmp_path / "Maildir"))
    calls = []
    monkeypatch.setattr(maildir_master, "sync_directory", calls.append)
    desk.deliver(*(message(f"E{number}", octets=len(MAIL)) for number in range(20)))
    assert calls == [str(tmp_path / "Maildir" / "new")]


def test_without_hard_links(tmp_path, monkeypatch):
    """On a file system without hard links the file is moved instead."""
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    desk = Desk(str(tmp_path / "Maildir"))
    assert desk.deliver(message(octets=len(MAIL)))["E1"].verdict is Verdict.DELIVERED
    assert len(mails(tmp_path / "Maildir")) == 1 and not os.listdir(tmp_path / "Maildir" / "tmp")


def test_leftover_of_the_same_name(tmp_path):
    """A torn file that a former process of our number left in tmp is replaced, not extended."""
    box = Maildir(str(tmp_path))
    for _ in range(2):
        copy = Copy(box, ["ann@y"], message(), "h")
        copy.write(MAIL)
    copy.sync()
    copy.publish()
    assert mails(tmp_path) == [b"Return-Path: <bob@x.example>\nDelivered-To: ann@y\n" + LINES]


def test_mailbox_removed_while_running(tmp_path):
    """A mailbox that somebody removed is made again."""
    boxes = Maildirs(str(tmp_path / "m"))
    first = boxes.get(boxes.path_of("a@b"))
    assert boxes.get(first.path) is first
    for part in (first.tmp, first.new, first.cur):
        os.rmdir(part)
    assert os.path.isdir(boxes.get(first.path).new)


def test_few_mailboxes_are_remembered(tmp_path, monkeypatch):
    """However many mailboxes there are, memory stays bounded."""
    monkeypatch.setattr(maildir, "_KEPT", 3)
    boxes = Maildirs(str(tmp_path / "{local}"))
    for number in range(10):
        boxes.get(boxes.path_of(f"u{number}@x"))
    assert len(boxes._kept) == 3


def test_host_names_fit_file_names(tmp_path):
    """A host name cannot break the name of a file."""
    copy = Copy(Maildir(str(tmp_path)), ["a@b"], message(), "a/b:c")
    copy.abandon()
    assert copy.name.endswith(".a\\057b\\072c")


def test_leaving(tmp_path):
    """Asked to leave before it knew its channel, it leaves."""
    duty = MaildirMaster(SimpleNamespace())
    duty.leave()
    assert duty.status == 0
