"""A TOML table read against a table of keys: unknown, wrong, contradictory and inert names are found here."""

from collections.abc import Mapping
from typing import NamedTuple

from jobctl.config.findings import Findings
from jobctl.config.keys import Key, KeyTable, Kind, Status
from jobctl.config.linemap import KeyPath
from jobctl.config.values import convert


class Given(NamedTuple):
    """A key that stands in the file, with its converted value and its place."""

    key: Key
    value: object
    where: KeyPath


Table = dict[str, Given]  # by the key's own name, whatever alias the file used


def read_table(raw: object, where: KeyPath, keys: KeyTable, findings: Findings) -> Table:
    """
    What is given in the table at ``where``; keys with a problem are left out, with the problem noted.

    A name without a value may be ``false``: that cancels what ``[defaults]`` says, and nothing more.
    """
    given: Table = {}
    for name, value in as_table(raw, where, findings).items():
        place = (*where, name)
        key = keys.find(name)
        if key is None:
            findings.problem(place, keys.unknown(name))
        elif key.name in given:
            findings.problem(place, f"is already given on line {findings.line(given[key.name].where)}")
        else:
            _take(key, value, place, given, findings)
    _contradictions(given, findings)
    return given


def as_table(raw: object, where: KeyPath, findings: Findings) -> Mapping[str, object]:
    """``raw`` if it is a table, else an empty one and a problem."""
    if isinstance(raw, dict):
        return raw
    findings.problem(where, "must be a table, not a single value")
    return {}


def as_tables(
    raw: object, where: KeyPath, findings: Findings, names: tuple[str, ...], what: str
) -> dict[str, Mapping[str, object]]:
    """A table whose keys must be among ``names``; missing ones are empty tables."""
    known = KeyTable(what, (Key(name=name, kind=Kind.TABLE, sentence="") for name in names))
    found: dict[str, Mapping[str, object]] = {name: {} for name in names}
    for name, value in as_table(raw, where, findings).items():
        if name in found:
            found[name] = as_table(value, (*where, name), findings)
        else:
            findings.problem((*where, name), known.unknown(name))
    return found


def overlaid(defaults: Table, own: Table) -> Table:
    """``own`` over ``defaults``, where a name also displaces the defaults that contradict it."""
    groups = {group for given in own.values() if not _cancelled(given) for group in given.key.groups}
    merged = {name: given for name, given in defaults.items() if not groups.intersection(given.key.groups)}
    merged.update(own)
    return {name: given for name, given in merged.items() if not _cancelled(given)}


def _cancelled(given: Given) -> bool:
    return given.key.kind is Kind.FLAG and given.value is False


def _take(key: Key, value: object, place: KeyPath, given: Table, findings: Findings) -> None:
    try:
        converted = convert(key, value)
    except ValueError as why:
        findings.problem(place, str(why))
        return
    given[key.name] = found = Given(key, converted, place)
    if _cancelled(found):
        return
    word = str(converted)
    if key.status is Status.REFUSED:
        findings.problem(place, key.reason)
    elif word in key.refused:
        findings.problem(place, key.refused[word])
    elif key.status is Status.INERT:
        findings.note(place, f"does not act yet: {key.reason}")
    elif word in key.inert:
        findings.note(place, f"does not act yet: {key.inert[word]}")


def _contradictions(given: Table, findings: Findings) -> None:
    first: dict[str, Given] = {}
    for found in given.values():
        if _cancelled(found):
            continue
        clash = next((first[group] for group in found.key.groups if group in first), None)
        if clash is not None:
            line = findings.line(clash.where)
            findings.problem(found.where, f"contradicts {clash.key.name} on line {line}: keep one of them")
        for group in found.key.groups:
            first.setdefault(group, found)
