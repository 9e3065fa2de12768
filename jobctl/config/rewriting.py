"""The ``[rewrite]`` section: patterns and templates -> rules."""

import re
from collections.abc import Mapping

from jobctl.config.findings import Findings
from jobctl.config.keys import did_you_mean
from jobctl.config.linemap import KeyPath
from jobctl.config.reading import as_table
from jobctl.config.settings import ChannelSettings, Rule
from jobctl.config.templates import Template, parse_template

_LABEL = r"[\w-]+"
_PATTERN = re.compile(
    rf"\$\*|\.|\[\]|\[[0-9A-Za-z:.-]+\]|\*(?:\.\*)*(?:\.{_LABEL})*|\.?{_LABEL}(?:\.{_LABEL})*\.?",
)
# Channels that mail can come from although the file need not configure them.
SOURCES = frozenset({"l", "process", "reprocess"})


def read_rules(
    raw: object,
    where: KeyPath,
    findings: Findings,
    channels: dict[str, ChannelSettings],
    mappings: Mapping[str, str],
) -> tuple[Rule, ...]:
    """
    The rules in the order of the file; a pattern with several templates gives as many rules.

    :param mappings: The tables that templates can ask, by their names in upper case.
    """
    tags = channels_by_tag(channels)
    rules = []
    for pattern, value in as_table(raw, where, findings).items():
        place = (*where, pattern)
        if _PATTERN.fullmatch(pattern) is None:
            findings.problem(place, _pattern_problem(pattern))
            continue
        several = isinstance(value, list)
        for index, template in enumerate(value if isinstance(value, list) else [value]):
            spot = (*place, index) if several else place
            if not isinstance(template, str):
                findings.problem(spot, "must be a template or a list of templates, in quotes")
            elif _checked(template, spot, findings, tags, channels, mappings):
                rules.append(Rule(pattern=pattern, template=template, line=findings.line(spot)))
        if value == []:
            findings.problem(place, "has no template")
    return tuple(rules)


def channels_by_tag(channels: dict[str, ChannelSettings]) -> dict[str, str]:
    """Every name by which a template can name a channel (lower case) -> the channel's name."""
    tags = {name: name for name in channels}
    for name, channel in channels.items():
        for host in (channel.official_host_name, *channel.additional_host_names):
            tags.setdefault(host.lower(), name)
    return tags


def _checked(
    text: str,
    where: KeyPath,
    findings: Findings,
    tags: dict[str, str],
    channels: dict[str, ChannelSettings],
    mappings: Mapping[str, str],
) -> bool:
    try:
        template = parse_template(text)
    except ValueError as why:
        findings.problem(where, str(why))
        return False
    correct = True
    if template.tag and template.tag not in tags:
        what = "host name of a channel" if template.host else "channel"
        findings.problem(where, f"{template.tag!r} is not a {what}{did_you_mean(template.tag, tags)}")
        correct = False
    for source in (*template.only_from, *template.not_from):
        if source not in channels and source not in SOURCES:
            findings.problem(where, f"channel {source!r} is not configured{did_you_mean(source, channels)}")
            correct = False
    for call in template.calls:
        if call.table not in mappings:
            findings.problem(
                where, f"there is no table {call.table} in [mapping]{did_you_mean(call.table, mappings)}"
            )
            correct = False
    _note_idle(template, where, findings)
    if template.direction == "backward" and all(
        one.switchchannel != "switchchannel" for one in channels.values()
    ):
        findings.note(
            where, "does not act: $R: no channel has switchchannel, so no client's channel is looked for"
        )
    return correct


def _note_idle(template: Template, where: KeyPath, findings: Findings) -> None:
    for text in template.idle:
        findings.note(where, f"does not act: {text}")


def _pattern_problem(pattern: str) -> str:
    if pattern in ("$%", "$!"):
        return "percent-hack and bang addresses are not taken apart; remove the rule"
    if "/" in pattern or "<" in pattern:
        return "files cannot be included; write the rules here"
    return "is not a pattern: write host.domain, .domain, *.domain, [1.2.3.4], [1.2.], [], $* or ."
