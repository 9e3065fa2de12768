"""The ``[tls_policy]`` section: TLS by destination, over what the channels say."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from jobctl.config.findings import Findings
from jobctl.config.keys import Key, KeyTable, Kind
from jobctl.config.keyword_forms import named
from jobctl.config.keywords_security import LATER, POLICIES
from jobctl.config.linemap import KeyPath
from jobctl.config.paths import absolute
from jobctl.config.reading import as_table, read_table
from jobctl.config.tls_rules import TlsRule, normal_pattern

TLS_POLICY = KeyTable(
    "key of a destination's TLS policy",
    (
        Key(
            name="policy",
            kind=Kind.CHOICE,
            sentence="As the keyword `tls_policy` of channels. A destination can also have this alone: "
            '`"bank.example" = "verify"`.',
            default="required",
            choices=(*POLICIES, *LATER),
            refused=LATER,
        ),
        named("server_name", Kind.HOST, "Name to verify instead of the next hop's.", "the channel's"),
        named("ca_file", Kind.TEXT, "Trust anchors (PEM).", "the channel's"),
    ),
)
_LABEL = r"[\w-]+"
_PATTERN = re.compile(rf"\[[0-9A-Za-z:.]+\]|\.?{_LABEL}(?:\.{_LABEL})*\.?")
# Octets of JSON. Every program of a channel that sends is told all of them in its hello, which is one line.
MOST = 2 * 1024 * 1024


def read_tls_policy(
    raw: object, findings: Findings, directory: str, exists: Callable[[str], bool]
) -> dict[str, TlsRule]:
    """
    The rules by their pattern in normal form.

    :param exists: Whether a file is there.
    """
    where = ("tls_policy",)
    rules: dict[str, TlsRule] = {}
    for pattern, value in as_table(raw, where, findings).items():
        place = (*where, pattern)
        normal = normal_pattern(pattern)
        if _PATTERN.fullmatch(pattern) is None:
            findings.problem(place, _pattern_problem(pattern))
        elif normal in rules:
            line = findings.line((*where, rules[normal].pattern))
            findings.problem(place, f"is already given on line {line}, as {rules[normal].pattern}")
        elif (rule := _rule(pattern, value, place, findings, directory, exists)) is not None:
            rules[normal] = rule
    size = len(msgspec.json.encode(rules)) if rules else 0
    if size > MOST:
        text = f"is {size} octets long, programs can be told {MOST}; write .domain for the hosts of a domain"
        findings.problem(where, text)
    return rules


def _rule(
    pattern: str,
    value: object,
    place: KeyPath,
    findings: Findings,
    directory: str,
    exists: Callable[[str], bool],
) -> TlsRule | None:
    if isinstance(value, str):
        word = value.lower()
        problem = LATER.get(word) or (None if word in POLICIES else _not_a_policy(value))
        if problem is not None:
            findings.problem(place, problem)
            return None
        return TlsRule(pattern, word)
    if not isinstance(value, dict):
        findings.problem(place, _not_a_policy(value))
        return None
    given = read_table(value, place, TLS_POLICY, findings)
    fields: dict[str, Any] = {name: one.value for name, one in given.items()}
    if "policy" not in given:
        # If it is wrong, that has been said.
        if "policy" not in {str(name).lower() for name in value}:
            findings.problem(place, f"needs policy: {', '.join(POLICIES)}")
        return None
    if "ca_file" in fields:
        fields["ca_file"] = absolute(directory, fields["ca_file"])
        if not exists(fields["ca_file"]):
            findings.problem(given["ca_file"].where, f"there is no file {fields['ca_file']!r}")
    return TlsRule(pattern, **fields)


def _not_a_policy(value: object) -> str:
    return (
        f"{value!r} is not one of {', '.join(POLICIES)}, "
        'nor a table such as { policy = "verify", server_name = "mx.bank.example" }'
    )


def _pattern_problem(pattern: str) -> str:
    if pattern in (".", "*", "$*"):
        return "what counts for all others is the channels' tls_policy: give that in [defaults] or [channel.NAME]"
    return "is not a destination: write bank.example, .bank.example for all hosts below it, or [192.0.2.1]"
