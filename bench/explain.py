"""
How long ``explain`` takes with a long queue.

    python -m bench.explain [MESSAGES]

Queues the messages by the store's own API (20 in a commit's worth of thousands), starts a daemon on them
with their channel stopped and with mail of three kinds, and asks it about a thousand of them.
"""

import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred, gatherResults

from jobctl.control.client import Client
from jobctl.control.refusals import NoDaemon
from jobctl.mail.entry import Attempt, NewEntry, Settlement, Submission
from jobctl.mail.envelope import Envelope, Priority, Recipient, Source
from jobctl.store.sqlite import SQLiteStore

CONFIGURATION = """
[job_controller]
queue_directory = "queue"
control_socket = "control.sock"
log_directory = "log"
[channel.l]
official_host_name = "mail.example.org"
[channel.out]
official_host_name = "out-daemon"
smtp = true
master_command = "/bin/false"
backoff = ["PT4H"]
"""
TOGETHER = 5000
HOSTS = 5000
ASKED = 1000


def submission(number: int, now: float) -> Submission:
    """Every third is due, every third waits for its first attempt, the others for their second."""
    host = f"h{number % HOSTS}.example"
    recipient = Recipient(f"b{number}@{host}")
    due = now if number % 3 == 0 else now + 4 * 3600
    entry = NewEntry("out", host, (recipient,), Priority.NORMAL, due)
    return Submission(
        Envelope("ann@a.example", (recipient,)),
        Source("l"),
        b"Subject: x\r\n\r\nhello\r\n",
        23,
        (entry,),
        arrived=now - number % 86400,
    )


async def fill(directory: Path, count: int) -> list[str]:
    """The ids of so many messages."""
    store = SQLiteStore(reactor, str(directory))
    store.open()
    now = time.time()
    ids: list[str] = []
    await store.set_stopped("out", True, "bench")
    for at in range(0, count, TOGETHER):
        numbers = range(at, min(at + TOGETHER, count))
        made = await gatherResults([store.enqueue(submission(number, now)) for number in numbers])
        ids += [one for some in made for one in some]
    for id in ids[2::30000]:
        line = Attempt(when=now, what="deferred", text="450 later")
        await store.settle(
            Settlement(id, due=now + 3600, attempts=1, last_reply="450 later", history=(line,))
        )
    await store.close()
    return ids


def measure(place: Path, ids: list[str]) -> None:
    """Ask a daemon, and print how long that took."""
    with Client(str(place / "control.sock")) as client:
        seconds = []
        for id in random.Random(1).sample(ids, min(ASKED, len(ids))):
            began = time.perf_counter()
            client.call("explain", message=id)
            seconds.append(time.perf_counter() - began)
    seconds.sort()
    print(
        f"{len(ids)} messages queued, {len(seconds)} explained: "
        f"median {statistics.median(seconds) * 1000:.2f} ms, "
        f"95 % {seconds[len(seconds) * 95 // 100] * 1000:.2f} ms, longest {seconds[-1] * 1000:.2f} ms, "
        f"{sum(one > 0.02 for one in seconds)} above 20 ms"
    )


def ready(place: Path) -> bool:
    """Whether the daemon answers."""
    try:
        with Client(str(place / "control.sock")) as client:
            return bool(client.call("ping"))
    except NoDaemon:
        return False


def main(count: int) -> None:
    """All of it, in a directory that is removed."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "jobctl.toml").write_text(CONFIGURATION)
        ids: list[str] = []

        def filled(made: list[str]) -> None:
            ids.extend(made)
            running.stop()

        running: Any = reactor
        filling = ensureDeferred(fill(place / "queue", count))
        filling.addCallback(filled)
        filling.addErrback(lambda why: (why.printTraceback(), running.stop()))
        running.run()
        twistd = Path(sys.executable).with_name("twistd")
        command = [str(twistd), "-n", "--pidfile=", "jobctl", "--config", "jobctl.toml"]
        with open(place / "daemon.log", "w") as log:
            daemon = subprocess.Popen(command, cwd=place, stdout=log, stderr=log)
        try:
            while not ready(place):
                time.sleep(0.1)
            # Until memory has read what it takes.
            time.sleep(10)
            measure(place, ids)
        finally:
            daemon.terminate()
            daemon.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
