"""
Relay 4 KB messages from smtp-source to smtp-sink, through Postfix and through jobctl, in turn.

Prints messages per second end to end (first connection to the last message in
the sink), processor seconds per 1,000 messages of the transport alone, its
memory, and the ratios against Postfix in the same run.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from bench.ours import controller
from bench.peers import Sink, free_port, load, postfix
from bench.processes import cpu_seconds, memory_octets

Transport = Callable[[int, int, Path], AbstractContextManager[int]]

TRANSPORTS: dict[str, tuple[Transport, str]] = {
    "postfix": (postfix, "a file per message, fsync before each 250"),
    "tcp_smtp": (
        lambda port, sink, where: controller(port, sink, where, "tcp_out"),
        "SQLite WAL, synchronous=FULL, group commit, fsync before each 250",
    ),
    "test_smtp": (
        lambda port, sink, where: controller(port, sink, where, "test_smtp_out"),
        "the same queue; one dialogue through the generic channel's bridge",
    ),
}


def measure(name: str, arguments: argparse.Namespace, base: Path) -> dict[str, float]:
    """One transport once: ``rate`` (messages/s), ``cpu`` (s per 1,000 messages), ``memory`` (octets)."""
    start, _ = TRANSPORTS[name]
    port, sink_port = free_port(), free_port()
    sink = Sink(sink_port)
    directory = base / f"{name}-{time.monotonic_ns()}"
    try:
        with start(port, sink_port, directory) as pid:
            run(port, sink, 200, arguments)
            before = cpu_seconds(pid)
            took = run(port, sink, arguments.messages, arguments)
            used = cpu_seconds(pid) - before
            return {
                "rate": arguments.messages / took,
                "cpu": used * 1000 / arguments.messages,
                "memory": memory_octets(pid),
            }
    finally:
        sink.close()
        shutil.rmtree(directory, ignore_errors=True)


def run(port: int, sink: Sink, messages: int, arguments: argparse.Namespace) -> float:
    """Send, and wait until the sink has them all; gives the seconds."""
    want = sink.count() + messages
    begun = time.monotonic()
    source = load(
        port, messages, arguments.sessions, arguments.octets, not arguments.no_reuse, "ann@sink.example"
    )
    stalled = begun
    last = 0
    while (count := sink.count()) < want:
        now = time.monotonic()
        if count != last:
            last, stalled = count, now
        if now - stalled > 60:
            source.kill()
            raise SystemExit(f"standstill: {want - count} messages are missing after 60 s without any")
        time.sleep(0.01)
    took = time.monotonic() - begun
    if source.wait() != 0:
        raise SystemExit(f"smtp-source ended with status {source.returncode}")
    return took


def main() -> None:
    """Measure all that was asked for, turn by turn, and print medians."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--octets", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--no-reuse", action="store_true", help="one connection per message instead of one per session"
    )
    parser.add_argument("--only", choices=TRANSPORTS, action="append", help="leave the others out")
    parser.add_argument("--directory", help="where queues are put (a disk, not a memory file system)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    names = arguments.only or list(TRANSPORTS)
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(dir=arguments.directory) as base:
        Path(base).chmod(0o755)
        for turn in range(arguments.rounds):
            for name in names:
                figures = measure(name, arguments, Path(base))
                results[name].append(figures)
                if not arguments.json:
                    print(f"  round {turn + 1}  {name:10} {_row(figures)}", flush=True)
    medians = {
        name: {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        for name, rounds in results.items()
    }
    if arguments.json:
        print(json.dumps({"medians": medians, "rounds": results}, indent=2))
        return
    print(
        f"\n{arguments.messages} messages of {arguments.octets} octets, {arguments.sessions} sessions; medians:"
    )
    for name, figures in medians.items():
        print(f"  {name:10} {_row(figures)}  {TRANSPORTS[name][1]}")
        if name != "postfix" and "postfix" in medians:
            base_line = medians["postfix"]
            print(
                f"  {'':10} {figures['rate'] / base_line['rate']:.2f} times Postfix's messages/s, "
                f"{figures['cpu'] / base_line['cpu']:.2f} times its CPU per message"
            )


def _row(figures: dict[str, float]) -> str:
    return f"{figures['rate']:7.0f} messages/s  {figures['cpu']:5.2f} CPU-s/1000  {figures['memory'] / 2**20:6.1f} MiB"


if __name__ == "__main__":
    main()
