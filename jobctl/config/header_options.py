"""Header options of a channel: ``[channel.X.headertrim."Field"]`` and ``headerread`` (channels reference 2.5)."""

import re
from typing import Any

from jobctl.config.findings import Findings
from jobctl.config.header_settings import DEFAULTS, HeaderRule
from jobctl.config.keys import Key, KeyTable, Kind, Status
from jobctl.config.linemap import KeyPath
from jobctl.config.reading import Given, Table, as_table, read_table

_NAME = re.compile(r"[!-9;-~]+")
# A header line that SMTP allows, less the longest name that makes sense.
_MOST_VALUE = 900


def _key(name: str, kind: Kind, sentence: str, low: int | None = None) -> Key:
    return Key(name=name, kind=kind, sentence=sentence, low=low, field=name.lower())


HEADER_OPTIONS = KeyTable(
    "header option",
    (
        _key("ADD", Kind.TEXT, "A further field with this value, behind those of its name."),
        _key("FILL", Kind.TEXT, "The same, where there is none of its name."),
        _key("RELABEL", Kind.TEXT, "The name that it gets instead; options of the new name act on it."),
        _key("MAXIMUM", Kind.INTEGER, "Fields of that name that are kept, from above; 0 or -1: none.", -1),
        _key("MAXLINES", Kind.INTEGER, "Lines that they may have together; 0 or -1: they are removed.", -1),
        _key(
            "MAXCHARS",
            Kind.INTEGER,
            "Octets after which a field is cut; for addresses see maxheaderchars.",
            1,
        ),
        _key("LINELENGTH", Kind.INTEGER, "Longer lines are folded.", 1),
        _key("PRECEDENCE", Kind.INTEGER, "Fields with less go above those with more; 0 is the usual."),
        Key(
            name="GROUP",
            kind=Kind.INTEGER,
            sentence="Whether fields of one name stay together.",
            status=Status.INERT,
            reason="fields keep the order they came in, but for PRECEDENCE",
            low=0,
            high=1,
        ),
    ),
)
_ONE_FIELD = ("ADD", "FILL", "RELABEL")
_REMOVING = ("RELABEL", "MAXIMUM", "MAXLINES")


def header_options(table: Table, findings: Findings) -> dict[str, tuple[HeaderRule, ...]]:
    """What ``headerread`` and ``headertrim`` of one section say, if it has them."""
    return {
        word: _rules(table[word], findings, arriving=word == "headerread")
        for word in ("headerread", "headertrim")
        if word in table
    }


def _rules(given: Given, findings: Findings, arriving: bool) -> tuple[HeaderRule, ...]:
    """:param arriving: Received fields must stay, because loops are found by them."""
    rules: dict[str, HeaderRule] = {}
    for name, raw in as_table(given.value, given.where, findings).items():
        place = (*given.where, name)
        field = name.lower()
        if _NAME.fullmatch(name) is None:
            findings.problem(place, f"{name!r} is not the name of a header field")
        elif field == "other":
            findings.problem(place, 'no field is unknown here: write "Defaults"')
        elif field in rules:
            findings.problem(place, "the same field is already given")
        else:
            options = read_table(raw, place, HEADER_OPTIONS, findings)
            _check(field, options, findings, arriving)
            said: dict[str, Any] = {one.key.field: one.value for one in options.values() if one.key.field}
            rules[field] = HeaderRule(field=field, name=name, **said)
    if arriving and DEFAULTS in rules:
        rules.setdefault("received", HeaderRule(field="received", name="Received"))
    return tuple(rules.values())


def _check(field: str, options: Table, findings: Findings, arriving: bool) -> None:
    for name, one in options.items():
        if field == DEFAULTS and name in _ONE_FIELD:
            findings.problem(one.where, "needs a field of its own: Defaults stand for many")
        elif arriving and field == "received" and name in _REMOVING:
            findings.problem(
                one.where, "loops are found by these fields: remove them on delivery (headertrim)"
            )
        elif name in ("ADD", "FILL"):
            _check_value(str(one.value), one.where, findings)
        elif name == "RELABEL" and _NAME.fullmatch(str(one.value)) is None:
            findings.problem(one.where, f"{one.value!r} is not the name of a header field")


def _check_value(value: str, where: KeyPath, findings: Findings) -> None:
    if not value.isascii() or not value.isprintable():
        findings.problem(where, "is not one line of ASCII; other characters are written as RFC 2047 says")
    elif len(value) > _MOST_VALUE:
        findings.problem(where, f"is longer than the {_MOST_VALUE} characters that fit a header line")
