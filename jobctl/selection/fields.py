"""What can be asked of a message: one table that the parser, the manual and completion read."""

from collections.abc import Callable
from typing import Any

import msgspec

from jobctl.mail.address import normal_domain, split_address
from jobctl.mail.envelope import Priority
from jobctl.selection.candidate import Selectable, remote_address, words
from jobctl.selection.kinds import Choice, Code, Domain, Kind, Number, Size, Span, Text

STATES = ("ready", "active", "delayed", "held")


class Field(msgspec.Struct, frozen=True):
    """
    :ivar name: As it is written; ``aliases`` do as well.
    :ivar of: Its value for a message at a time (epoch seconds), in the shape that its kind compares.
    :ivar meaning: For the manual.
    """

    name: str
    kind: Kind
    of: Callable[[Selectable, float], Any]
    meaning: str
    aliases: tuple[str, ...] = ()


def _domain(address: str) -> str:
    return normal_domain(split_address(address)[1])


FIELDS = (
    Field("id", Text("Q1A"), lambda c, now: (c.id,), "The message's id, as `qm directory` shows it."),
    Field("channel", Text("tcp_*"), lambda c, now: (c.channel,), "The channel that it is queued to."),
    Field(
        "host",
        Text("mx.example.com"),
        lambda c, now: (c.host,),
        'The destination host; `""` behind a gateway, where hosts do not matter.',
    ),
    Field(
        "state",
        Choice(
            {state: frozenset((state,)) for state in STATES} | {"queued": frozenset(STATES) - {"held"}},
            "held",
        ),
        lambda c, now: c.state,
        "`ready`, `active` (in the hands of a job), `delayed` (waits for its next attempt) or `held`; "
        "`queued` is all but `held`.",
    ),
    Field(
        "sender",
        Text("ann@example.org"),
        lambda c, now: (c.sender,),
        "The envelope's sender; `<>` is the sender of notifications, nobody.",
        ("from",),
    ),
    Field("sender.domain", Domain(), lambda c, now: (_domain(c.sender),), "What stands after its @."),
    Field(
        "sender.local", Text("ann"), lambda c, now: (split_address(c.sender)[0],), "What stands before its @."
    ),
    Field(
        "rcpt",
        Text("bob@example.com"),
        lambda c, now: c.recipients,
        "A recipient not yet served; it is enough that one fits, and `!=` that none does.",
        ("to", "recipient"),
    ),
    Field(
        "rcpt.domain",
        Domain(),
        lambda c, now: [_domain(address) for address in c.recipients],
        "What stands after the @ of a recipient.",
        ("to.domain", "recipient.domain"),
    ),
    Field(
        "rcpt.local",
        Text("bob"),
        lambda c, now: [split_address(address)[0] for address in c.recipients],
        "What stands before the @ of a recipient.",
    ),
    Field("rcpt.count", Number(), lambda c, now: len(c.recipients), "How many recipients are left."),
    Field("size", Size(), lambda c, now: c.size, "Size of the content."),
    Field(
        "priority",
        Choice({priority.word: frozenset((priority.word,)) for priority in Priority}, "urgent"),
        lambda c, now: c.priority.word,
        ", ".join(f"`{priority.word}`" for priority in Priority) + ".",
    ),
    Field("attempts", Number(), lambda c, now: c.attempts, "Delivery attempts counted so far.", ("tries",)),
    Field("age", Span(), lambda c, now: now - c.enqueued, "Time since it was queued."),
    Field(
        "due",
        Span(),
        lambda c, now: c.due - now,
        "Time until its next attempt; negative once that is overdue, so `due<=0` is what could go now.",
    ),
    Field(
        "last.code",
        Code(),
        lambda c, now: c.last_reply,
        "What the last attempt's reply began with: the reply code (`451`) or the enhanced status (`4.7.1`), "
        "whichever fits. `~` asks how it begins: `~4` is 4yz and 4.y.z, `~4.7` is 4.7.z. "
        "`<` and `>` compare reply codes.",
        ("last.status",),
    ),
    Field(
        "last.text",
        Text("greylist"),
        lambda c, now: (words(c.last_reply),),
        "The last attempt's reply without its codes, or our own words where nobody replied.",
        ("last.reply",),
    ),
    Field("reason", Text("loop"), lambda c, now: (c.reason,), "Why it is held."),
    Field("source", Text("tcp_local"), lambda c, now: (c.source,), "The channel that it came in by."),
    Field(
        "source.ip",
        Text("192.0.2.*"),
        lambda c, now: (remote_address(c.transport),),
        "The address of the client that sent it.",
    ),
    Field("user", Text("ann"), lambda c, now: (c.user,), 'Who was authenticated; `""` for nobody.'),
)
BY_NAME = {name: field for field in FIELDS for name in (field.name, *field.aliases)}
