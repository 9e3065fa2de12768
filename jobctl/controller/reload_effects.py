"""What each change of the configuration means for the mail that is queued."""

from typing import Any

import msgspec
from twisted.logger import Logger

from jobctl.config.difference import Difference
from jobctl.config.log_options import LogSettings
from jobctl.config.settings import ChannelSettings, Settings
from jobctl.errors import StoreError
from jobctl.jobs.spec import JobSpec
from jobctl.mail.envelope import Priority
from jobctl.mapping.access import IP_ACCESS
from jobctl.schedule.expiry import life_of
from jobctl.schedule.queues import needs_new_programs

log = Logger()

_FUTURE = "for mail that comes from now on; queued mail keeps its channel and host"
_TOLD = "for notifications from now on"
_LIMITS = (
    "maxjobs",
    "threaddepth",
    "filesperjob",
    "addrsperjob",
    "pool",
    "max_life_time",
    "max_life_askwork",
)
_INTAKE = (
    *("recipientlimit", "recipientcutoff", "deferralrejectlimit", "transactionlimit", "blocklimit"),
    *("disconnecttransactionlimit", "disconnectrecipientlimit", "disconnectrejectlimit"),
    *("disconnectbadcommandlimit", "linelimit", "sourceblocklimit", "holdlimit", "after", "daemon", "copies"),
    *("deferred", "demotion", "expandlimit"),
)
_NOTICES = (
    *(
        "sendpost",
        "warnpost",
        "posthead",
        "addresses",
        "notificationchannel",
        "returnaddress",
        "returnpersonal",
    ),
    *("postmaster", "return_personal", "return_delivery_history", "content_return_limit"),
)


class Queue(msgspec.Struct):
    """Messages of one channel: all, those with a due time in the future, those held."""

    messages: int = 0
    delayed: int = 0
    held: int = 0


async def effects(controller: Any, found: list[Difference], new: Settings) -> list[dict[str, Any]]:
    """
    A row for each difference, ``{key, line, old, new, effect, messages, restart}``.

    :param new: As they would be in force.
    """
    old: Settings = controller.settings
    queues = await _queues(controller) if found else {}
    rows = []
    for one in found:
        effect, messages = await _effect(controller, one, old, new, queues)
        rows.append(
            {
                "key": one.key,
                "line": one.line,
                "old": shown(one.old),
                "new": shown(one.new),
                "effect": effect,
                "messages": messages,
                "restart": one.restart,
            }
        )
    return rows


async def _queues(controller: Any) -> dict[str, Queue]:
    try:
        summary = await controller.store.summarize()
    except StoreError as why:
        log.warn("the queue cannot be counted: {why}", why=str(why))
        return {}
    return {
        name: Queue(messages=queued + held, delayed=delayed, held=held)
        for name, (queued, delayed, held, _octets, _oldest) in summary.items()
    }


async def _effect(
    controller: Any, one: Difference, old: Settings, new: Settings, queues: dict[str, Queue]
) -> tuple[str, int | None]:
    """In words, and for how many queued messages."""
    section = one.path[0]
    if one.restart:
        return "needs a restart; until then it stays as it is", None
    if section == "channel":
        return await _of_channel(controller, one, old, new, queues)
    if section == "retry":
        return (
            "for all queued mail at once: how long it is tried, and when it is due",
            sum(queue.messages for queue in queues.values()),
        )
    if section == "rewrite":
        return _FUTURE, None
    if one.path[:2] == ("job_controller", "job_pool"):
        pool = str(one.path[2])
        names = [name for name, channel in old.channels.items() if channel.pool == pool]
        return (
            f"for the channels of the pool: {', '.join(names) or 'none'}",
            sum(queues[name].messages for name in names if name in queues),
        )
    if section == "dispatcher":
        return _of_service(one), None
    if section == "tls_policy":
        return (
            "for connections from now on; programs that send by SMTP are replaced after their current message",
            None,
        )
    if section == "notification" or (section == "mta" and one.path[1] in _NOTICES):
        return _TOLD, None
    if section == "mta" and one.path[1] in LogSettings.__struct_fields__:
        return "what is logged from now on is logged so", None
    if one.path in (("mapping", IP_ACCESS), ("mta", "use_ip_access")):
        return (
            "for connections from now on; programs that send by SMTP are replaced after their current message",
            None,
        )
    if section in ("mta", "mapping"):
        return "for mail that comes from now on; server programs are replaced", None
    return "at once", None


async def _of_channel(
    controller: Any, one: Difference, old: Settings, new: Settings, queues: dict[str, Queue]
) -> tuple[str, int | None]:
    name = str(one.path[1])
    queue = queues.get(name, Queue())
    if len(one.path) == 2 and one.new is None:
        return (
            "its mail stays and waits for the channel to come back ('qm directory' shows it)",
            queue.messages,
        )
    if len(one.path) == 2:
        return "a new channel; mail left over from one of that name is tried again", queue.messages
    before, after, key = old.channel(name), new.channel(name), str(one.path[2])
    if key == "notices":
        expiring = await _expiring(controller, before, after)
        if expiring:
            return "messages expire at once", expiring
        return "messages are warned of and returned at other ages", queue.messages
    if key == "max_attempts":
        return "messages that were tried so often are returned at once", queue.messages
    if key == "delivery":
        return "what may go out now goes, what may not waits for its window", queue.messages
    if key in ("backoff", "jitter"):
        return "delayed messages are due by the new intervals", queue.delayed
    if key in _NOTICES:
        return _TOLD, None
    if key in _LIMITS:
        return "jobs are started and stopped by it at once", queue.messages
    if key in _INTAKE and not needs_new_programs(before, after):
        return "for mail that comes from now on", None
    jobs = sum(job.spec.run is None and _has(job.spec, name) for job in controller.jobs.values())
    return _replaced(jobs), queue.messages


def _replaced(jobs: int) -> str:
    if not jobs:
        return "for its next program: none runs"
    if jobs == 1:
        return "1 running program is replaced after its current message or session"
    return f"{jobs} running programs are replaced after their current message or session"


def _has(spec: JobSpec, name: str) -> bool:
    """Whether a program knows the channel's settings: it is the channel's, or its clients can come to it."""
    return spec.channel.name == name or any(other.name == name for other in spec.others)


async def _expiring(controller: Any, before: ChannelSettings, after: ChannelSettings) -> int:
    """Messages that the new lifetimes end and the old ones do not."""
    now = controller.reactor.seconds()
    count = 0
    for priority in Priority:
        old, new = (life_of(one, priority).ages[-1] for one in (before, after))
        if new < old:
            count += await controller.store.count_arrived(before.name, priority, now - old, now - new)
    return count


def _of_service(one: Difference) -> str:
    if len(one.path) == 3:
        return "its port is closed; sessions go on" if one.new is None else "its port is opened"
    if one.path[3] in ("listen", "min_procs", "backlog"):
        return "sockets that stay are not closed; sessions go on"
    return "new sessions; those under way go on as they began"


def shown(value: object) -> Any:
    """A value of the settings as JSON can say it; whole sections in a word."""
    if isinstance(value, msgspec.Struct):
        return "(section)"
    plain = msgspec.to_builtins(value)
    return plain
