"""Header options: which fields go on, under which name, how long, in which order (``headertrim``, ``headerread``)."""

from collections.abc import Mapping, Sequence

from jobctl.config.header_settings import DEFAULTS, HeaderRule
from jobctl.mime.fields import cut, folded, name_of

_NO_RULE = HeaderRule(field="", name="")


def trimmed(fields: Sequence[bytes], rules: Sequence[HeaderRule]) -> list[bytes]:
    """Apply every rule. What no rule names keeps its place and its octets."""
    by_name = {rule.field.encode(): rule for rule in rules}
    usual = by_name.pop(DEFAULTS.encode(), _NO_RULE)
    kept = _limited([_relabelled(field, by_name) for field in fields], by_name, usual)
    for name, rule in by_name.items():
        _complete(kept, name, rule)
    if any(rule.precedence for rule in rules):
        kept.sort(key=lambda field: by_name.get(name_of(field), usual).precedence)
    return kept


def _relabelled(field: bytes, rules: Mapping[bytes, HeaderRule]) -> bytes:
    rule = rules.get(name_of(field), _NO_RULE)
    return field if rule.relabel is None else rule.relabel.encode() + b":" + field.partition(b":")[2]


def _limited(fields: list[bytes], rules: Mapping[bytes, HeaderRule], usual: HeaderRule) -> list[bytes]:
    """From above: what is too much is below."""
    kept = []
    count: dict[bytes, int] = {}
    lines: dict[bytes, int] = {}
    for field in fields:
        name = name_of(field)
        rule = rules.get(name, usual)
        count[name] = count.get(name, 0) + 1
        lines[name] = lines.get(name, 0) + field.count(b"\r\n")
        if _over(count[name], rule.maximum) or _over(lines[name], rule.maxlines):
            continue
        if rule.maxchars is not None:
            field = cut(field, max(rule.maxchars, len(name) + 1))
        kept.append(field if rule.linelength is None else folded(field, rule.linelength))
    return kept


def _over(number: int, limit: int | None) -> bool:
    return limit is not None and number > limit


def _complete(kept: list[bytes], name: bytes, rule: HeaderRule) -> None:
    """ADD and FILL: behind the last field of that name, or at the end."""
    places = [place for place, field in enumerate(kept) if name_of(field) == name]
    value = rule.add if rule.add is not None else rule.fill if not places else None
    if value is not None:
        place = places[-1] + 1 if places else len(kept)
        kept.insert(place, f"{rule.name}: {value}\r\n".encode())
