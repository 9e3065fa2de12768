"""What is different between two configurations, key by key."""

from collections.abc import Iterator, Mapping

import msgspec

from jobctl.config.findings import dotted
from jobctl.config.keywords import KEYWORDS
from jobctl.config.linemap import KeyPath
from jobctl.config.settings import RetryRule, Rule, Settings
from jobctl.config.tls_rules import TlsRule

# Where the file has what the settings have under another name.
_SECTIONS: dict[str, tuple[str, ...]] = {
    "controller": ("job_controller",),
    "pools": ("job_controller", "job_pool"),
    "channels": ("channel",),
    "services": ("dispatcher", "service"),
    "rules": ("rewrite",),
    "log": ("mta",),
}
# Which channels have them says nothing more: each is one section of the file.
_SHARED = ("tls_rules", "ip_access", "use_ip_access")
_BY_PRIORITY = frozenset({"backoff", "notices", "after", "delivery", "demotion"})
_NO_SETTINGS = frozenset({"path", "notes", "lines"})
# What cannot change under a running daemon: its queue and its sockets' names are how others know it.
FIXED = ("queue_directory", "control_socket", "log_directory")
# What nobody gives: made of other keys.
_DERIVED = frozenset({("mta", "loop"), ("mta", "asks_all")})


class Difference(msgspec.Struct, frozen=True):
    """
    One key whose value is another.

    :ivar path: Of the key, as in the file: ``("channel", "out", "backoff")``.  A whole section that came or
        went is one difference.
    :ivar old: The value as settings hold it, ``None``: it was not there.
    :ivar new: The same of the other configuration.
    :ivar line: Where the new file has it, 0: nowhere.
    """

    path: KeyPath
    old: object
    new: object
    line: int = 0

    @property
    def key(self) -> str:
        return dotted(self.path)

    @property
    def restart(self) -> bool:
        """Whether it can only be had by a restart."""
        return len(self.path) == 2 and self.path[0] == "job_controller" and self.path[1] in FIXED


def differences(old: Settings, new: Settings) -> list[Difference]:
    """Every difference, sections in the order of the settings."""
    found: list[Difference] = []
    for field in Settings.__struct_fields__:
        if field in _NO_SETTINGS:
            continue
        where = _SECTIONS.get(field, (field,))
        before, after = _shape(getattr(old, field)), _shape(getattr(new, field))
        found += (
            msgspec.structs.replace(one, line=_line(new, one.path)) for one in _compare(where, before, after)
        )
    return found


def with_fixed(old: Settings, new: Settings) -> Settings:
    """The new settings with what cannot change under a running daemon as it was."""
    kept = {name: getattr(old.controller, name) for name in FIXED}
    return msgspec.structs.replace(
        new,
        controller=msgspec.structs.replace(new.controller, **kept),
        # Made of the name of this host and of where the queue is.
        mta=msgspec.structs.replace(new.mta, loop=old.mta.loop),
    )


def _shape(value: object) -> object:
    """
    Rewrite and retry rules have no names; they are compared by pattern, and by place and selector. TLS rules
    are as the file has them.
    """
    if isinstance(value, tuple) and value and isinstance(value[0], Rule):
        rules: dict[str, tuple[str, ...]] = {}
        for rule in value:
            rules[rule.pattern] = (*rules.get(rule.pattern, ()), rule.template)
        return rules
    if isinstance(value, tuple) and value and isinstance(value[0], RetryRule):
        return {
            f"{number} {rule.where}": {
                name: one
                for name, one in msgspec.structs.asdict(rule).items()
                if name not in ("where", "line") and one is not None
            }
            for number, rule in enumerate(value, 1)
        }
    if isinstance(value, dict) and any(isinstance(one, TlsRule) for one in value.values()):
        return {rule.pattern: _shape(rule) for rule in value.values()}
    if isinstance(value, TlsRule):
        given = {"policy": value.policy, "server_name": value.server_name, "ca_file": value.ca_file}
        return value.policy if value.bare else {name: one for name, one in given.items() if one is not None}
    return {} if value == () else value


def _compare(where: KeyPath, old: object, new: object) -> Iterator[Difference]:
    if old == new or where in _DERIVED:
        return
    if isinstance(old, msgspec.Struct) and type(old) is type(new):
        old, new = msgspec.structs.asdict(old), msgspec.structs.asdict(new)
    by_priority = where[:1] == ("channel",) and where[-1] in _BY_PRIORITY
    if by_priority or not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        yield Difference(where, old, new)
        return
    for name in {**old, **new}:
        in_channel = where[:1] == ("channel",) and len(where) == 2
        if in_channel and name in _SHARED:
            continue
        if in_channel and name == "keywords":
            yield from _compare(where, old[name], new[name])
        elif where == ("mta",) and name == "mappings":
            yield from _compare(("mapping",), old[name], new[name])
        else:
            yield from _compare((*where, _in_file(where, str(name))), old.get(name), new.get(name))


def _in_file(where: KeyPath, field: str) -> str:
    """The keyword that a field of a channel's settings comes from."""
    if len(where) != 2 or where[0] != "channel" or KEYWORDS.find(field) is not None:
        return field
    if field == "gateway":
        return "daemon"
    return next((key.name for key in KEYWORDS if key.field == field and key.value is None), field)


def _line(settings: Settings, path: KeyPath) -> int:
    """Of the key, or of what gives it its value."""
    for key in (path, ("defaults", *path[2:])) if path[:1] == ("channel",) else (path,):
        if len(key) > 1 and (line := settings.lines.get(dotted(key).lower())) is not None:
            return line
    return 0
