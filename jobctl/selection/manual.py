"""``docs/selectors.md``, made from the table of fields."""

from jobctl.selection.fields import FIELDS, Field

_HEAD = """\
# Selectors: which messages are meant

One language for every list, every change of many messages, retry rules and hold rules. Made from the table in
`jobctl/selection/fields.py`; a test fails where this page and the table differ. To make it anew:

    python -c "from jobctl.selection.manual import selectors_page; print(selectors_page(), end='')" > docs/selectors.md

```selectors
rcpt.domain=example.com and age>1h and attempts<5
last.code~4.7 and channel=tcp_*
sender=<> and state=held
size>1MB and not priority=urgent
(sender.domain=example.org or user=ann) and last.text~greylist
id in (Q1A, Q1B)
source.ip=192.0.2.* and rcpt.count>=50
last.text~"too many*connections" and due<10m
rcpt!=*@example.net
```

* A **test** is a field, a comparison and a value. Tests are joined by `and`, `or`, `not` and brackets; `not`
  binds closest, then `and`, then `or`. Capitals do not matter anywhere.
* `=` and `!=` compare the whole value, `~` and `!~` ask for a part of it. In text `*` stands for anything and
  `?` for one character. There are no regular expressions: nothing that is written here can take long.
* `in (A, B)` is `=` with any of the values. `!=` and `!~` say just the contrary of `=` and `~`: `rcpt!=x` means
  that no recipient is x.
* A value with spaces, brackets, commas or quotes stands in double quotes. A backslash makes the next character
  mean itself: `"what\\?"`. `<ann@example.org>` is the same as `ann@example.org`, and `<>` is the empty sender.
* Durations: `90s`, `5m`, `1h`, `2d`, `1w`, `1d12h`, or `PT1H`. Sizes: `500` (octets), `10KB`, `1.5MB`, `2GB`,
  `20blocks`; K, M and G are powers of 1024, a block is 1024 octets.
* What is wrong is told with its column and what would be right:
  `selector, column 1, at "rcpt.domian=x": there is no field rcpt.domian; did you mean rcpt.domain?`

Tests of `id`, `channel`, `host` and `state` narrow the search before a message is read, so a list of one channel
does not read the others.

## Fields

"""
_END = """
A shell needs quotes around a selector: `jobctl qm directory --where 'age>1h and sender=<>'`.
"""


def selectors_page() -> str:
    """The whole page."""
    lines = ["| field | comparisons | example | what it is |", "|---|---|---|---|"]
    return _HEAD + "\n".join(lines + [_row(field) for field in FIELDS]) + "\n" + _END


def _row(field: Field) -> str:
    names = ", ".join(f"`{name}`" for name in (field.name, *field.aliases))
    operators = " ".join(f"`{op}`" for op in field.kind.operators)
    return f"| {names} | {operators} | `{field.kind.example}` | {field.meaning} |"
