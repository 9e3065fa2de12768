"""The manual page of every keyword and option, made from the tables that the loader reads by."""

from collections.abc import Iterable

from jobctl.config.header_options import HEADER_OPTIONS
from jobctl.config.keys import Key, Kind, Status
from jobctl.config.keys_controller import CHANNEL_CLASS, CONTROLLER, POOL, SHARE
from jobctl.config.keys_mta import MTA
from jobctl.config.keys_service import SERVICE
from jobctl.config.keywords import CHAPTERS as KEYWORD_CHAPTERS
from jobctl.config.notification import NOTIFICATION
from jobctl.config.retry_rules import RETRY
from jobctl.config.tcp_options import CHAPTERS as OPTION_CHAPTERS
from jobctl.config.tls_policy import TLS_POLICY

_HEAD = """\
# Keywords and options

Made from the tables in `jobctl/config`; a test fails where this page and the tables differ. To make it anew:

    python -c "from jobctl.config.manual import options_page; print(options_page(), end='')" > docs/options.md

* **honoured**: it acts as described.
* **not yet**: it is accepted, does not act yet, and `jobctl test config` says so and why.
* **refused**: the configuration is not accepted with it, because mail would be less safe than it asks for.

Names are the same in capitals and small letters. A name whose value is "-" is written `name = true`;
`name = false` takes back what `[defaults]` says. Times are ISO 8601 durations (`PT5M`, `P2D`).
Sources of defaults: `W:` a page of the Messaging Server wiki, `AG`, `AR` the Administration Guide and
Reference, `PMDF` and `SIMS` the ancestors' manuals.
"""
_SECTIONS = (
    ("[job_controller]", CONTROLLER),
    ("[job_controller.job_pool.NAME]", POOL),
    ("[job_controller.share.NAME]", SHARE),
    ('[job_controller.channel_class."PATTERN"]', CHANNEL_CLASS),
    ("[dispatcher.service.NAME]", SERVICE),
    ("[mta]", MTA),
    ("[notification]", NOTIFICATION),
    ("[[retry]]", RETRY),
    ('[tls_policy] "DESTINATION" = { ... }', TLS_POLICY),
)
_BOUNDED = (Kind.INTEGER, Kind.NUMBER, Kind.SECONDS, Kind.MOMENT, Kind.DURATIONS)
_WORDS = {Status.HONOURED: "honoured", Status.INERT: "not yet", Status.REFUSED: "refused"}


def options_page() -> str:
    """``docs/options.md``."""
    parts = [_HEAD, "\n## Channel keywords: `[channel.NAME]`, `[defaults]`\n"]
    parts += [f"\n### {title}\n\n{_table(keys)}" for title, keys in KEYWORD_CHAPTERS.items()]
    parts.append("\n## TCP/IP-channel-specific options: `options` of a channel, option files\n")
    parts += [f"\n### {title}\n\n{_table(keys)}" for title, keys in OPTION_CHAPTERS.items()]
    parts.append(f"\n## Header options: `headerread`, `headertrim` of a channel\n\n{_table(HEADER_OPTIONS)}")
    parts += [f"\n## `{title}`\n\n{_table(keys)}" for title, keys in _SECTIONS]
    return "".join(parts)


def _table(keys: Iterable[Key]) -> str:
    lines = ["| name | value | default | status | meaning |", "|---|---|---|---|---|"]
    return "\n".join(lines + [_row(key) for key in keys]) + "\n"


def _row(key: Key) -> str:
    names = " = ".join(f"`{name}`" for name in (key.name, *key.aliases))
    default = key.default + (f" ({key.source})" if key.source else "")
    return f"| {names} | {_value(key)} | {default} | {_WORDS[key.status]} | {_meaning(key)} |"


def _value(key: Key) -> str:
    if key.kind is Kind.FLAG:
        return "-"
    if key.kind is Kind.CHOICE:
        return ", ".join(key.choices)
    if key.kind not in _BOUNDED or (key.low, key.high) == (None, None):
        return key.kind.value.replace("|", "\\|")
    if key.high is not None:
        return f"{key.kind.value}, {key.low:.10g} to {key.high:.10g}"
    return f"{key.kind.value}, from {key.low:g}"


def _meaning(key: Key) -> str:
    text = key.sentence
    if key.reason:
        text += f" *{key.reason[0].upper()}{key.reason[1:]}.*"
    for word, values in (("refused", key.refused), ("not yet", key.inert)):
        for reason in dict.fromkeys(values.values()):
            which = ", ".join(f"`{value.lower()}`" for value in values if values[value] == reason)
            text += f" {which} {word}: *{reason}.*"
    return text
