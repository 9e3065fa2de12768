"""``jobctl explain``: why a message is not delivered yet, and what will become of it."""

import time
from typing import Any

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import joined, kilobytes, printable, sender, when, write, write_json
from jobctl.commands.parser import Commands, command
from jobctl.commands.without_daemon import ask_or_read
from jobctl.control.refusals import unknown_id

_WIDTH = 14
_REASON = {"finished": "What became:"}
_UNITS = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second"))


def register(commands: Commands) -> None:
    """Make the command known."""
    parser = command(
        commands,
        "explain",
        explain,
        "why a message is not delivered yet, and when it will be",
        "  jobctl explain Q1A2B\n  jobctl explain Q1A2B --json",
        description="One causal chain: its state, who has it, what keeps it, when it is tried next, what "
        "happens when it is too old, and which line of the configuration is responsible.",
    )
    parser.add_argument("id", metavar="ID", help="as 'qm directory' shows it")


def explain(context: Context) -> int:
    """Ask the daemon and say it in sentences."""
    message = context.args.id
    row = ask_or_read(context, "explain", {"message": message}, lambda store: _read(context, store, message))
    if context.json:
        write_json(row)
        return exits.OK
    now = time.time()
    for label, text in _lines(row, now):
        write(f"{label:<{_WIDTH}}{printable(text)}")
    return exits.OK


def _read(context: Context, store: Any, message: str) -> dict[str, Any]:
    """What the queue itself says, while no daemon runs."""
    import random

    from jobctl.explaining.chain import explain as explained
    from jobctl.explaining.facts import Facts
    from jobctl.explaining.rows import as_row
    from jobctl.schedule.rules import RetryRules
    from jobctl.schedule.scheduler import Scheduler
    from jobctl.selection.candidate import queued

    look = store.inspect(message)
    if look is None:
        raise unknown_id(message)
    stored, history, stopped, backoff = look
    settings, now, entry = context.settings, time.time(), stored.entry
    # A schedule that has nothing to do but to say what it would.
    schedule = Scheduler(settings, random.Random())
    if backoff is not None:
        schedule.restore_host(entry.channel, entry.host, backoff[0], backoff[1], now)
    rules = RetryRules(settings.retry)
    facts = Facts(
        now=now,
        settings=settings,
        stored=stored,
        history=tuple(history),
        insight=schedule.insight(entry, now),
        nobody=True,
        stopped=stopped,
        host_reply="" if backoff is None else backoff[2],
        rule=rules.rule(rules.number(queued(stored, now), now)),
    )
    return as_row(stored, explained(facts))


def _lines(row: dict[str, Any], now: float) -> list[tuple[str, str]]:
    lines = [("Message:", f"{row['id']}, {row['state']}")]
    if "channel" in row:
        for_host = f" for {row['host']}" if row["host"] else ""
        lines += [
            (
                "",
                f"{kilobytes(row['size'])} KB, {row['priority'] or 'gone'}, channel {row['channel']}{for_host}, "
                f"came {_moment(row['enqueued'], now)}, {_times(row['attempts'])}",
            ),
            ("From:", sender(row["sender"])),
            ("To:", joined(row["recipients"])),
        ]
    if row.get("holder"):
        lines.append(("Held by:", _holder(row["holder"], now)))
    for number, cause in enumerate(row["causes"]):
        also = "" if row["state"] == "finished" else "Also:"
        lines += _cause(also if number else _REASON.get(row["state"], "Why:"), cause, now)
    at = row["next_attempt"]
    lines.append(
        ("Next attempt:", " ".join(part for part in (_moment(at, now) if at else "", row["next"]) if part))
    )
    if row.get("warnings"):
        lines.append(("Warnings:", joined(_moment(one, now) for one in row["warnings"])))
    if row.get("at_expiry"):
        moment = f"{_moment(row['expires'], now)}: " if row["expires"] else ""
        lines.append(("In the end:", f"{moment}{row['at_expiry']}"))
        if row["at_expiry_where"]:
            lines.append(("", row["at_expiry_where"]))
    lines += [("Note:", note) for note in row.get("notes", ())]
    return lines


def _cause(label: str, cause: dict[str, Any], now: float) -> list[tuple[str, str]]:
    text = cause["text"]
    if cause["since"] is not None and cause["code"].startswith("finished_"):
        text += f", {_moment(cause['since'], now)}"
    elif cause["since"] is not None:
        text += f", since {_moment(cause['since'], now)}"
    if cause["until"] is not None:
        text += f", until {_moment(cause['until'], now)}"
    return [(label, text), *([("", cause["where"])] if cause["where"] else [])]


def _holder(holder: dict[str, Any], now: float) -> str:
    words = [f"job {holder['job']}", holder["program"]]
    if holder["pid"]:
        words.append(f"pid {holder['pid']}")
    words.append(f"running for {_span(now - holder['since'])}")
    if holder["others"]:
        words.append(f"with {holder['others']} others")
    return ", ".join(word for word in words if word)


def _moment(at: float, now: float) -> str:
    """A time, and how far away it is."""
    away = at - now
    if abs(away) < 1:
        return f"{when(at)} (now)"
    return f"{when(at)} (in {_span(away)})" if away > 0 else f"{when(at)} ({_span(-away)} ago)"


def _span(seconds: float) -> str:
    """In the two largest units that matter."""
    left = max(round(seconds), 0)
    parts: list[str] = []
    for size, name in _UNITS:
        count, left = divmod(left, int(size))
        if count or parts:
            parts.append(f"{int(count)} {name}{'' if count == 1 else 's'}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part) or "no time"


def _times(attempts: int) -> str:
    return "not tried yet" if not attempts else "tried once" if attempts == 1 else f"tried {attempts} times"
