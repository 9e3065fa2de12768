"""Short forms in which the tables of keywords and of sections' keys are written."""

from collections.abc import Mapping

from jobctl.config.keys import Key, Kind, Status

Groups = tuple[str, ...]


def flag(
    name: str,
    sentence: str,
    *,
    field: str = "",
    value: object = None,
    groups: Groups = (),
    default: str = "off",
    source: str = "",
) -> Key:
    """A honoured keyword without a value; without a field it names what happens anyway."""
    return Key(
        name=name,
        kind=Kind.FLAG,
        sentence=sentence,
        field=field,
        value=value,
        groups=groups,
        default=default,
        source=source,
    )


def flags(
    group: str,
    field: str,
    meanings: Mapping[str, tuple[object, str]],
    *,
    default: str,
    source: str = "",
    aliases: Mapping[str, tuple[str, ...]] | None = None,
) -> tuple[Key, ...]:
    """Honoured keywords without a value, one of which may be given: each sets ``field`` to its own value."""
    return tuple(
        Key(
            name=name,
            kind=Kind.FLAG,
            sentence=sentence,
            field=field,
            value=value,
            groups=(group,),
            default=default,
            source=source,
            aliases=(aliases or {}).get(name, ()),
        )
        for name, (value, sentence) in meanings.items()
    )


def valued(
    name: str,
    kind: Kind,
    sentence: str,
    *,
    field: str = "",
    low: float | None = None,
    high: float | None = None,
    groups: Groups = (),
    default: str = "none",
    source: str = "",
    aliases: tuple[str, ...] = (),
) -> Key:
    """A honoured keyword with a value."""
    return Key(
        name=name,
        kind=kind,
        sentence=sentence,
        field=field,
        low=low,
        high=high,
        groups=groups,
        default=default,
        source=source,
        aliases=aliases,
    )


def named(
    name: str,
    kind: Kind,
    sentence: str,
    default: str = "none",
    low: float | None = None,
    high: float | None = None,
    aliases: tuple[str, ...] = (),
) -> Key:
    """A honoured key of a section: the field that takes it has its name."""
    return valued(name, kind, sentence, field=name, low=low, high=high, default=default, aliases=aliases)


def inert(
    name: str,
    kind: Kind,
    sentence: str,
    reason: str,
    *,
    low: float | None = None,
    high: float | None = None,
    groups: Groups = (),
    default: str = "none",
    source: str = "",
    aliases: tuple[str, ...] = (),
) -> Key:
    """A keyword with a value that is accepted and does not act yet."""
    return Key(
        name=name,
        kind=kind,
        sentence=sentence,
        status=Status.INERT,
        reason=reason,
        low=low,
        high=high,
        groups=groups,
        default=default,
        source=source,
        aliases=aliases,
    )


def inert_flags(
    reason: str, meanings: Mapping[str, str], *, group: str = "", groups: Mapping[str, Groups] | None = None
) -> tuple[Key, ...]:
    """Keywords without a value that are accepted and do not act yet, for one reason."""
    shared: Groups = (group,) if group else ()
    return tuple(
        Key(
            name=name,
            kind=Kind.FLAG,
            sentence=sentence,
            status=Status.INERT,
            reason=reason,
            default="off",
            groups=(groups or {}).get(name, shared),
        )
        for name, sentence in meanings.items()
    )


def refused(name: str, kind: Kind, sentence: str, reason: str) -> Key:
    """A keyword with a value that is refused."""
    return Key(name=name, kind=kind, sentence=sentence, status=Status.REFUSED, reason=reason)
