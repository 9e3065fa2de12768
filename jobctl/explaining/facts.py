"""What is known of one message, gathered by whoever can ask; and what is concluded from it."""

import msgspec

from jobctl.config.overlay import Change
from jobctl.config.places import Place
from jobctl.config.settings import ChannelSettings, RetryRule, Settings
from jobctl.mail.entry import Attempt, QueueEntry, StoredEntry
from jobctl.schedule.insight import Insight


class Holder(msgspec.Struct, frozen=True):
    """
    The job that has it.

    :ivar since: Epoch seconds, when the job began.
    :ivar remote: Whom it talks to, as far as we know.
    :ivar phase: ``in hand``, what it waits for in the words of :class:`jobctl.jobprotocol.frames.Work`
        where the program says so (``dot``: the final dot has gone out), or ``recording``.
    :ivar others: Messages beside this one that it holds.
    :ivar leaving: It was told to stop, and finishes what it holds.
    :ivar octets: Of the content that have gone.
    :ivar began: Epoch seconds, when it was handed this message.
    """

    job: str
    program: str
    pid: int | None
    since: float
    remote: str
    phase: str
    others: int
    leaving: bool
    octets: int = 0
    began: float | None = None


class HoldInsight(msgspec.Struct, frozen=True):
    """The hold rule that holds it, if that is still in force; ``expires`` in epoch seconds."""

    where: str
    expires: float | None
    release: bool


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """
    :ivar now: Epoch seconds.
    :ivar nobody: No Job Controller runs.
    :ivar stopped: Who stopped its channel, and when; ``None``: nobody has.
    :ivar host_reply: What its host said last when it could not be talked to.
    :ivar standstill: Why nothing at all is handed out; ``""``: it is.
    :ivar changes: What operators have laid over the configuration.
    :ivar rule: The retry rule that applies to it.
    :ivar hold: The hold rule that holds it.
    """

    now: float
    settings: Settings
    stored: StoredEntry
    history: tuple[Attempt, ...]
    insight: Insight
    nobody: bool = False
    stopped: tuple[str, float] | None = None
    host_reply: str = ""
    standstill: str = ""
    holder: Holder | None = None
    changes: tuple[Change, ...] = ()
    rule: RetryRule | None = None
    hold: HoldInsight | None = None

    @property
    def entry(self) -> QueueEntry:
        return self.stored.entry

    @property
    def channel(self) -> ChannelSettings:
        return self.settings.channel(self.stored.entry.channel)

    @property
    def host(self) -> str:
        """Whom an attempt talks to, in a word."""
        return self.entry.host or self.channel.gateway or "its destination"


class Cause(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    One thing that keeps it.

    :ivar code: One word for programs; docs/commands.md lists them.
    :ivar text: A sentence without its full stop.
    :ivar since: Epoch seconds, as is ``until``: when it passes by itself.
    :ivar who: The operator who did it.
    :ivar place: The configuration that is responsible.
    """

    code: str
    text: str
    since: float | None = None
    until: float | None = None
    who: str = ""
    place: Place | None = None


class Ending(msgspec.Struct, frozen=True):
    """
    What will happen when it is too old.

    :ivar when: Epoch seconds.
    :ivar text: A sentence without its full stop.
    :ivar warnings: Epoch seconds at which its sender is warned of the delay before.
    """

    when: float | None
    text: str
    place: Place | None = None
    warnings: tuple[float, ...] = ()


class Explanation(msgspec.Struct, frozen=True):
    """
    The whole chain.

    :ivar state: ``ready``, ``active``, ``delayed`` or ``held``.
    :ivar causes: What decides now first; the others would keep it, too.
    :ivar next_attempt: Epoch seconds; ``None``: under way, or it depends on somebody.
    :ivar next_text: When the next attempt is, in words.
    :ivar notes: What else an operator should know.
    """

    state: str
    causes: tuple[Cause, ...]
    next_attempt: float | None
    next_text: str
    ending: Ending
    holder: Holder | None = None
    notes: tuple[str, ...] = ()
