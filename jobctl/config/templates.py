"""The templates of rewrite rules: read once, at load, into parts that the router can join."""

import re
from enum import StrEnum

import msgspec

_CHANNEL = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_TABLE = re.compile(r"[A-Za-z0-9_$-]+", re.ASCII)
_ARGUMENT = re.compile(r"\$.?|[^$]+")
_REFUSED = {
    "(": "there is no general database",
    "]": "there is no LDAP",
    "[": "there are no site routines",
    "T": "there are no tags",
    "V": "there is no LDAP",
    "Z": "there is no LDAP",
    "&": "host components cannot be picked; use $H and $D",
    "!": "host components cannot be picked; use $H and $D",
    "*": "host components cannot be picked; use $H and $D",
    "#": "host components cannot be picked; use $H and $D",
    "P": "percent-hack addresses are not taken apart",
    "S": "source routes are dropped when an address is read",
    "X": "bang addresses are not taken apart",
}


class Piece(StrEnum):
    """What a template is made of besides plain text."""

    LOCAL = "U"  # the local part
    MATCHED = "D"  # the part of the host that matched the pattern
    LEFT = "H"  # what stands left of that
    REST = "L"  # the unmatched part of a domain literal


class Call(msgspec.Struct, frozen=True):
    """
    What a mapping table makes of a text, ``${TABLE,text}``; where it sets neither ``$Y`` nor ``$T`` the rule
    does not apply.
    """

    table: str
    argument: tuple[Piece | str, ...]


Part = tuple[Piece | Call | str, ...]


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """
    A template taken apart.

    :ivar local: New local part, ``host`` new host; both empty where the template only names a channel.
    :ivar tag: What names the channel: a channel, or one of its host names; ``""``: rewrite again.
    :ivar only_from: Source channels it applies to, ``()`` for all; ``not_from`` those it does not.
    :ivar direction: ``forward``: for recipients alone; ``backward``: only for the question which source
        channel a client stands for; ``""``: for both.
    :ivar never: It concerns header addresses, which are not rewritten here.
    :ivar error: Text for the sender when the rule does not apply; ``None``: other rules are tried.
    :ivar idle: Sequences that have no effect here.
    :ivar calls: The mapping tables that it asks.
    """

    local: Part = ()
    host: Part = ()
    tag: str = ""
    only_from: tuple[str, ...] = ()
    not_from: tuple[str, ...] = ()
    direction: str = ""
    never: bool = False
    error: str | None = None
    idle: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()


def parse_template(text: str) -> Template:
    """
    ``A%B@C``, ``A@B``, ``A%B`` or a channel's name, each with control sequences.

    :raises ValueError: Malformed, or a sequence that is refused; the text says which and why.
    """
    body, controls = _read(text)
    parts: list[list[Piece | Call | str]] = [[]]
    separators = ""
    for token in body:
        if isinstance(token, _Separator):
            separators += token.sign
            parts.append([])
        else:
            parts[-1].append(token)
    joined = [_joined(part) for part in parts]
    if not all(joined):
        raise ValueError(f"{text!r} has an empty part: write a channel, A%B@C, A@B or A%B")
    if separators == "":
        return msgspec.structs.replace(controls, tag=_plain(text, joined[0]))
    if separators == "%":
        return msgspec.structs.replace(controls, local=joined[0], host=joined[1])
    if separators == "@":
        return msgspec.structs.replace(controls, local=joined[0], host=joined[1], tag=_plain(text, joined[1]))
    if separators == "%@":
        return msgspec.structs.replace(controls, local=joined[0], host=joined[1], tag=_plain(text, joined[2]))
    if separators == "@@@":
        raise ValueError(
            f"{text!r} inserts a source route, which is obsolete (RFC 5321 appendix C): write A%D@C"
        )
    raise ValueError(f"{text!r} is none of a channel, A%B@C, A@B, A%B")


class _Separator(msgspec.Struct, frozen=True):
    """A ``%`` or ``@`` that stands unescaped."""

    sign: str


_Token = Piece | Call | str | _Separator


def _read(text: str) -> tuple[list[_Token], Template]:
    body: list[_Token] = []
    only_from: list[str] = []
    not_from: list[str] = []
    idle: list[str] = []
    never = False
    directions: set[str] = set()
    error = None
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character != "$":
            body.append(_Separator(character) if character in "%@" else character)
            continue
        sequence = text[position : position + 1]
        position += 1
        upper = sequence.upper()
        if sequence in ("$", "%", "@") and sequence:
            body.append(sequence)
        elif upper in ("U", "D", "H", "L"):
            body.append(Piece(upper))
        elif upper in ("M", "N", "Q", "C"):
            found = _CHANNEL.match(text, position)
            if found is None:
                raise ValueError(f"{text!r}: ${sequence} needs a channel's name after it")
            position = found.end()
            if upper == "M":
                only_from.append(found[0].lower())
            elif upper == "N":
                not_from.append(found[0].lower())
            else:
                idle.append(f"${upper}: destination channels are not known before the rule has chosen one")
        elif upper == "B":
            never = True
            idle.append("$B: the rule never applies, because header addresses are not rewritten")
        elif upper in ("F", "R"):
            directions.add("forward" if upper == "F" else "backward")
        elif upper in ("E", "A"):
            continue  # always so: envelope addresses, right of the @
        elif sequence == "{":
            call, position = _call(text, position)
            body.append(call)
        elif sequence == "?":
            error = re.sub(r"\$(.)", r"\1", text[position:]).strip()
            if not error or not error.isprintable():
                raise ValueError(f"{text!r}: $? needs a text after it, on one line")
            position = len(text)
        else:
            reason = _REFUSED.get(upper, "there is no such sequence; write $$ for a dollar sign")
            raise ValueError(f"{text!r}: ${sequence} cannot be used: {reason}")
    return body, Template(
        only_from=tuple(only_from),
        not_from=tuple(not_from),
        direction="".join(directions) if len(directions) == 1 else "",
        never=never or len(directions) > 1,
        error=error,
        idle=tuple(idle),
        calls=tuple(token for token in body if isinstance(token, Call)),
    )


def _call(text: str, position: int) -> tuple[Call, int]:
    """``TABLE,argument}`` from ``position``, and where it ends."""
    end = text.find("}", position)
    table, comma, argument = text[position : max(end, position)].partition(",")
    if end < 0 or not comma or _TABLE.fullmatch(table) is None:
        raise ValueError(f"{text!r}: ${{ needs a table, a comma, a text and }} after it: ${{INTERNAL_IP,$L}}")
    pieces: list[Piece | Call | str] = []
    for found in _ARGUMENT.finditer(argument):
        if found[0][:1] != "$":
            pieces.append(found[0])
        elif found[0][1:].upper() in ("U", "D", "H", "L"):
            pieces.append(Piece(found[0][1:].upper()))
        elif found[0][1:] in ("$", "%", "@"):
            pieces.append(found[0][1:])
        else:
            raise ValueError(f"{text!r}: {found[0]} cannot be used in what a table is asked; write $$ for $")
    return Call(table.upper(), tuple(one for one in _joined(pieces) if not isinstance(one, Call))), end + 1


def _joined(part: list[Piece | Call | str]) -> Part:
    """Neighbouring characters as one text."""
    joined: list[Piece | Call | str] = []
    for piece in part:
        before = joined[-1] if joined else None
        if _is_text(piece) and before is not None and _is_text(before):
            joined[-1] = f"{before}{piece}"
        else:
            joined.append(piece)
    return tuple(joined)


def _is_text(piece: Piece | Call | str) -> bool:
    return not isinstance(piece, Piece | Call)


def _plain(text: str, part: Part) -> str:
    """What names a channel must stand in the template itself."""
    # What a table says is put in front by rules that only ask it whether they apply.
    named = tuple(piece for piece in part if not isinstance(piece, Call))
    if len(named) != 1 or isinstance(named[0], Piece):
        raise ValueError(f"{text!r}: the channel must be named in plain text, not by a $ sequence")
    return named[0].lower()
