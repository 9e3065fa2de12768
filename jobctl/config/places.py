"""Which line of the configuration is responsible for something: what a person has to look at, or change."""

from collections.abc import Iterable

import msgspec

from jobctl.config.classes import ChannelClass, class_of
from jobctl.config.findings import dotted
from jobctl.config.keywords import KEYWORDS
from jobctl.config.settings import ChannelSettings, RetryRule, Settings
from jobctl.config.towards import Towards

# Keywords that say it in other words; they exclude one another.
_TLS_CLIENT = ("musttls", "musttlsclient", "maytls", "maytlsclient", "notls", "notlsclient", "tls_policy")


class Place(msgspec.Struct, frozen=True):
    """
    A key of the configuration.

    :ivar key: Its dotted name.
    :ivar line: Where it stands; 0: it is not given.
    :ivar instead: What applies then.
    """

    key: str
    path: str = ""
    line: int = 0
    instead: str = "default"

    @property
    def text(self) -> str:
        """``jobctl.toml:12: channel.out.backoff``, or ``channel.out.backoff (default)``."""
        return f"{self.path}:{self.line}: {self.key}" if self.line else f"{self.key} ({self.instead})"


def place_of(settings: Settings, *keys: tuple[str, ...]) -> Place:
    """The first of some keys that is given; the first of all, as a default, when none is."""
    return _first(settings, keys, keys[0])


def _first(settings: Settings, keys: Iterable[tuple[str, ...]], otherwise: tuple[str, ...]) -> Place:
    for key in keys:
        line = settings.lines.get(dotted(key).lower())
        if line is not None:
            return Place(dotted(key), settings.path, line)
    return Place(dotted(otherwise))


def of_channel(settings: Settings, channel: str, *keywords: str) -> Place:
    """
    Where a channel got a keyword's value from: its own section, else ``[defaults]``.

    :param keywords: The one that would decide first, then those that decide without it; aliases are known.
    """
    names = [name for keyword in keywords for name in _spellings(keyword)]
    keys = [("channel", channel, name) for name in names] + [("defaults", name) for name in names]
    if any(keyword.endswith("notices") for keyword in keywords):
        # Channels that say nothing of them have those of l.
        keys += [("channel", "l", name) for name in names]
    return _first(settings, keys, ("channel", channel, keywords[-1]))


def of_program(settings: Settings, channel: str, key: str) -> Place:
    """Where a channel got its program, or a limit on it, from: its section, else its class."""
    prefix = "job_controller.channel_class."
    patterns = {name[len(prefix) :].strip('"') for name in settings.lines if name.startswith(prefix)}
    classes = [ChannelClass(pattern=pattern) for pattern in sorted(patterns)]
    own = ("channel", channel, key)
    if not classes:
        return place_of(settings, own)
    return place_of(
        settings, own, ("job_controller", "channel_class", class_of(channel, classes).pattern, key)
    )


def of_pool(settings: Settings, pool: str) -> Place:
    """Where a pool got its limit from."""
    return place_of(
        settings, ("job_controller", "job_pool", pool, "job_limit"), ("job_controller", "job_limit")
    )


def of_rule(settings: Settings, rule: RetryRule, key: str) -> Place:
    """Where a retry rule says something."""
    return Place(
        f"retry[{settings.retry.index(rule)}].{key}",
        settings.path,
        settings.lines.get(f"retry[{settings.retry.index(rule)}].{key}", rule.line),
    )


def of_tls_policy(settings: Settings, channel: ChannelSettings, found: Towards) -> Place:
    """Where the policy towards a destination comes from."""
    if found.rule is not None:
        return place_of(settings, ("tls_policy", found.rule.pattern))
    if channel.implicit_tls and channel.tls_client in ("none", "may"):
        return of_channel(settings, channel.name, "implicit_tls")
    return of_channel(settings, channel.name, *_TLS_CLIENT)


def _spellings(keyword: str) -> tuple[str, ...]:
    known = KEYWORDS.find(keyword)
    return (keyword,) if known is None else (known.name, *known.aliases)
