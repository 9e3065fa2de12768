"""
A week in the life of mail, in virtual time: what happened, by the log, the history and the notifications.

The real controller on a set clock; jobs do what the story wants.  Each test is a story, and the end of
each is what a person would read.
"""

import json
import time
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message as Mail
from pathlib import Path
from typing import Any

import pytest

from jobctl.control.change_requests import QmHold, QmRelease, QmReturn
from jobctl.control.requests import Explain
from jobctl.jobprotocol.frames import Accepted, Report, Submit
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.envelope import Envelope, Recipient
from tests.controller_case import START, World
from tests.zones import local_zone

HOUR, DAY = 3600.0, 86400.0
CONFIGURATION = """
[job_controller]
queue_directory = "/nonexistent"
log_directory = "@DIRECTORY@"
log_rollover = "never"
[mta]
log_format = 6
[defaults]
logging = true
[channel.l]
official_host_name = "mail.example.org"
[channel.in]
official_host_name = "in-daemon"
smtp = true
slave_command = "slave"
[channel.out]
official_host_name = "out-daemon"
smtp = true
master_command = "master"
backoff = ["PT1H", "PT4H"]
jitter = 0
notices = [1, 2, 4]
nonurgent_delivery = "20:00-06:00"
[channel.back]
official_host_name = "back-daemon"
[[retry]]
where = 'rcpt.domain=slow.example and last.code~"4.7"'
backoff = ["PT10M"]
lifetime = "PT12H"
[rewrite]
"a.example" = "back"
".example" = "out"
"""
CONTENT = b"Message-ID: <1@a.example>\r\nSubject: the minutes\r\n\r\nHello.\r\n"


class Life(World):
    """A world whose log and notifications are read."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        super().__init__(logs, configuration=CONFIGURATION)

    @property
    def day(self) -> float:
        return (self.clock.seconds() - START) / DAY

    def until(self, day: float) -> None:
        """Sleep until so many days after the beginning, in steps of an hour as a daemon might."""
        while self.day < day - 1e-9:
            self.turn(min(HOUR, (day - self.day) * DAY))

    def arrive(self, *recipients: str, content: bytes = CONTENT) -> str:
        envelope = Envelope(
            "ann@a.example", tuple(Recipient(one) for one in recipients), envid="QQ314", ret="HDRS"
        )
        slave = self.slave()
        slave.says(Submit(id="s", envelope=envelope), content)
        self.turn()
        (answer,) = self.answers(slave)
        slave.end()
        assert isinstance(answer, Accepted)
        return answer.ids[0]

    def attempt(self, id: str, *rounds: dict[str, str]) -> None:
        """A job has it and gives these verdicts, by local part, each time that it gets it; then it goes home."""
        job = self.job()
        for replies in rounds:
            assert list(job.held) == [id]
            assert {one.split("@")[0] for one in job.held[id].recipients} == set(replies)
            self.verdicts(job, id, **replies)
        assert not job.held
        job.end()
        self.turn()

    def verdicts(self, job: Any, id: str, **replies: str) -> None:
        word = {"2": Verdict.RELAYED, "4": Verdict.DEFERRED, "5": Verdict.FAILED}
        addresses = {one.split("@")[0]: one for one in job.held[id].recipients}
        results = tuple(
            Disposition(addresses[who], word[reply[0]], reply.split()[1], reply, "mx.b.example")
            for who, reply in replies.items()
        )
        job.says(Report(id=id, results=results))
        self.turn()

    def operator(self, operation: str, request: Any) -> Any:
        answer = self.do(self.operate(operation, request))
        self.turn()
        return answer

    def why(self, id: str) -> tuple[str, str]:
        """State and first cause, as ``explain`` has them."""
        row = self.operator("explain", Explain(message=id))
        return row["state"], row["causes"][0]["code"]

    def log(self, id: str) -> list[str]:
        """Code, recipient and reply of each line about an entry."""
        self.turn()
        records = [json.loads(line) for line in (self._logs / "mail.log_current").read_text().splitlines()]
        return [
            " ".join(filter(None, (one["ac"], one["de"].split("@")[0], one.get("di", ""))))
            for one in records
            if one["el"] == "en" and one.get("fi", "").split(".")[0] == id
        ]

    def letters(self) -> list[tuple[float, Mail]]:
        """What ann was sent, with the day on which she was."""
        disk = self.store.memory.disk
        found = [stored for stored in self.queued() if stored.entry.channel == "back"]
        assert all(stored.envelope.sender == "" for stored in found)
        assert all(stored.envelope.recipients[0].address == "ann@a.example" for stored in found)
        return [
            ((stored.entry.enqueued - START) / DAY, message_from_bytes(disk.contents[stored.message]))
            for stored in found
        ]


def read(letter: Mail) -> tuple[str, list[tuple[str, str, str]]]:
    """Subject, and (who, action, status) of each recipient that it tells of."""
    assert letter.get_content_type() == "multipart/report"
    human, status, quoted = letter.get_payload()  # type: ignore[misc]
    blocks = status.get_payload()
    assert blocks[0]["Original-Envelope-Id"] == "QQ314"
    assert "Message-ID: <1@a.example>" in quoted.get_payload()
    told = [
        (
            one["Final-Recipient"].split(";")[1].strip().split("@")[0],
            one["Action"],
            one["Status"].split()[0],
        )
        for one in blocks[1:]
    ]
    for who, _, _ in told:
        assert who in human.get_payload()
    return str(letter["Subject"]).removeprefix("Delivery Notification: "), told


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path)


def test_a_message_to_three(life: Life) -> None:
    """Deferred, delivered in part, warned of, held for days, released, delivered in part, timed out."""
    id = life.arrive("bob@b.example", "carol@b.example", "dave@b.example")
    grey = "450 4.7.1 greylisted"
    life.attempt(id, {"bob": grey, "carol": grey, "dave": grey})
    assert life.why(id) == ("delayed", "retry")
    life.until(1 / 24)
    # One is taken: the two that are left go again at once, whatever the interval, and once.
    left = {"carol": "452 4.2.2 full", "dave": "451 4.3.0 later"}
    life.attempt(id, {"bob": "250 2.1.5 ok", **left}, left)
    assert life.why(id) == ("delayed", "retry")
    assert life.stored(id).entry.due == pytest.approx(life.clock.seconds() + 4 * HOUR)
    # Nobody is there to try: the channel has no job.  A day after its arrival ann hears of it.
    life.until(1.25)
    ((day, first),) = life.letters()
    assert day == pytest.approx(1.0, abs=0.05)
    assert read(first) == (
        "Delivery has been delayed",
        [("carol", "delayed", "4.4.7"), ("dave", "delayed", "4.4.7")],
    )
    # An operator looks into it; for three days nothing happens and nobody is told.
    life.operator("qm_hold", QmHold(ids=(id,), reason="asked carol"))
    assert life.why(id)[0] == "held"
    life.until(4.25)
    assert len(life.letters()) == 1
    life.operator("qm_release", QmRelease(ids=(id,)))
    life.attempt(id, {"carol": "250 2.1.5 ok", "dave": "451 4.3.0 later"}, {"dave": "451 4.3.0 later"})
    # Its age was 1.25 days when it was held: it is told of at 2, and ends at 4.
    life.until(5.1)
    assert read(life.letters()[1][1]) == ("Delivery has been delayed", [("dave", "delayed", "4.4.7")])
    assert life.letters()[1][0] == pytest.approx(5.0, abs=0.05)
    history = life.history(id)
    life.until(7.1)
    assert life.stored(id) is None and len(life.letters()) == 3
    day, last = life.letters()[2]
    assert day == pytest.approx(7.0, abs=0.05)
    assert read(last) == ("Delivery has timed out and failed", [("dave", "failed", "4.4.7")])
    assert "451 4.3.0 later" in last.as_string()
    assert history == [
        *("deferred",) * 3,
        *("relayed", "deferred", "deferred"),
        *("deferred", "deferred"),
        "warned",
        "held",
        "released",
        *("relayed", "deferred"),
        "deferred",
        "warned",
    ]
    assert life.log(id) == [
        *(f"E {who}" for who in ("bob", "carol", "dave")),
        *(f"Q {who} dns;mx.b.example smtp;{grey}" for who in ("bob", "carol", "dave")),
        "D bob dns;mx.b.example smtp;250 2.1.5 ok",
        "Z carol dns;mx.b.example smtp;452 4.2.2 full",
        "Z dave dns;mx.b.example smtp;451 4.3.0 later",
        "Q carol dns;mx.b.example smtp;452 4.2.2 full",
        "Q dave dns;mx.b.example smtp;451 4.3.0 later",
        "W carol",
        "W dave",
        "D carol dns;mx.b.example smtp;250 2.1.5 ok",
        "Z dave dns;mx.b.example smtp;451 4.3.0 later",
        "Q dave dns;mx.b.example smtp;451 4.3.0 later",
        "W dave",
        "R dave 451 4.3.0 later",
    ]
    life.balance()
    life.close()


def test_one_is_refused_and_an_operator_gives_the_rest_back(life: Life) -> None:
    """A failure is told at once; what is returned by hand is told as such."""
    id = life.arrive("bob@b.example", "carol@b.example")
    later = "451 4.3.0 later"
    life.attempt(id, {"bob": "550 5.1.1 no such user", "carol": later}, {"carol": later})
    (_, first), *_ = life.letters()
    assert read(first) == ("Delivery has failed", [("bob", "failed", "5.1.1")])
    life.operator("qm_return", QmReturn(ids=(id,)))
    assert len(life.letters()) == 1, "it could still be undone"
    life.turn(20)
    _, (_, second) = life.letters()
    assert read(second) == ("Delivery has been manually aborted", [("carol", "failed", "5.0.0")])
    life.until(9)
    assert len(life.letters()) == 2
    assert [line.split()[:2] for line in life.log(id)] == [
        *(["E", "bob"], ["E", "carol"]),
        *(["R", "bob"], ["Q", "carol"], ["Q", "carol"]),
        ["R", "carol"],
    ]
    life.balance()
    life.close()


def test_a_slow_site_by_its_rule(life: Life) -> None:
    """Tried every ten minutes as long as it says 4.7, and given up after half a day."""
    id = life.arrive("bob@slow.example")
    for minutes in (0, 10, 20):
        assert life.clock.seconds() - START == minutes * 60
        life.attempt(id, {"bob": "450 4.7.1 slow down"})
        life.turn(600)
    assert life.stored(id).entry.attempts == 3
    life.until(0.49)
    assert life.letters() == []
    life.until(0.51)
    assert life.stored(id) is None
    ((day, letter),) = life.letters()
    assert 0.5 <= day <= 0.51
    assert read(letter) == ("Delivery has timed out and failed", [("bob", "failed", "4.4.7")])
    assert [line.split()[0] for line in life.log(id)] == ["E", "Q", "Q", "Q", "R"]
    life.balance()
    life.close()


@pytest.fixture
def tokyo() -> Iterator[None]:
    """START is 22:13 in UTC; here it is a quarter past seven in the morning."""
    with local_zone("Asia/Tokyo"):
        yield


def test_mail_of_low_priority_waits_for_the_night(tokyo: None, tmp_path: Path) -> None:
    """Delayed with the window as the cause, while other mail goes; in the evening it goes too."""
    life = Life(tmp_path)
    slow = life.arrive("carol@b.example", content=b"Priority: non-urgent\r\n" + CONTENT)
    fast = life.arrive("bob@b.example")
    assert life.why(slow) == ("delayed", "window")
    life.attempt(fast, {"bob": "250 2.1.5 ok"})
    opens = life.operator("explain", Explain(message=slow))["next_attempt"]
    assert time.localtime(opens)[3:5] == (20, 0)
    life.turn(opens - life.clock.seconds() - 1)
    assert not life.supervisor.asked
    life.turn(1)
    life.attempt(slow, {"carol": "250 2.1.5 ok"})
    assert life.queued() == []
    assert [line.split()[0] for line in life.log(slow)] == ["E", "D"]
    life.balance()
    life.close()
