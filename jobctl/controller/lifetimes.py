"""How long a queued message is tried, and when its sender is warned, by the settings in force."""

from jobctl.config.settings import ChannelSettings, Settings
from jobctl.mail.entry import QueueEntry
from jobctl.schedule.expiry import Life, expires_at, life_of


class Lifetimes:
    """:ivar settings: In force."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def channel(self, name: str) -> ChannelSettings:
        """Its settings; those of a channel that is not configured (any more) are the defaults."""
        known = self.settings.channels.get(name)
        return known or ChannelSettings(name=name, official_host_name=name, local_host="")

    def of(self, entry: QueueEntry) -> Life:
        """The life of an entry."""
        return life_of(self.channel(entry.channel), entry.priority)

    def expires_at(self, entry: QueueEntry) -> float:
        """Epoch seconds at which it is given up."""
        return expires_at(self.of(entry), entry)

    def why_ended(self, entry: QueueEntry, now: float) -> str:
        """Why it is returned, in a word for the log and its history."""
        life = self.of(entry)
        if entry.attempts >= life.attempts:
            return f"{entry.attempts} attempts were made (max_attempts {life.attempts})"
        return f"its age has reached {in_days(life.ages[-1])}, the last of notices"


def in_days(seconds: float) -> str:
    """An age for people."""
    return f"{seconds / 86400:.3g} days" if seconds >= 2 * 86400 else f"{seconds / 3600:.3g} hours"
