"""Fields full of addresses, for receivers that cannot read long ones (``maxheaderaddrs``, ``maxheaderchars``)."""

import re

from jobctl.mime.fields import name_of, octets_of

# From, Sender and Reply-To are no such lists: twice in a header they say who knows what.
DIVISIBLE = frozenset({b"to", b"cc", b"bcc", b"resent-to", b"resent-cc", b"resent-bcc", b"apparently-to"})
# What commas inside do not count in: strings, comments, addresses, literals, groups (RFC 5322 section 3.4).
_PARTS = re.compile(rb'"(?:\\.|[^"\\])*"|\\.|[\[\]<>():;,]|[^"\\\[\]<>():;,]+|.', re.DOTALL)
_OPENS = {b"(": b")", b"<": b">", b"[": b"]", b":": b";"}


def divided(field: bytes, most: int | None, longest: int | None) -> list[bytes]:
    """
    Several fields of the same name in place of one that is too long.

    :param most: Addresses in each; a group counts as one, and is never divided.
    :param longest: Octets of each, but for one address that is longer by itself.
    """
    if name_of(field) not in DIVISIBLE:
        return [field]
    addresses = _addresses(field.partition(b":")[2])
    if not (
        (most is not None and len(addresses) > most) or (longest is not None and octets_of(field) > longest)
    ):
        return [field]
    name = field.partition(b":")[0] + b":"
    fields: list[list[bytes]] = []
    size = 0
    for address in addresses:
        octets = octets_of(address)
        full = most is not None and fields and len(fields[-1]) == most
        if not fields or full or (longest is not None and size + 2 + octets > longest):
            fields.append([address])
            size = len(name) + 1 + octets
        else:
            fields[-1].append(address)
            size += 2 + octets
    return [b"%b %b\r\n" % (name, b",\r\n ".join(addresses)) for addresses in fields]


def _addresses(value: bytes) -> list[bytes]:
    """What stands between the commas, folded as it was; without blanks at its ends."""
    found: list[bytes] = []
    parts: list[bytes] = []
    closing: list[bytes] = []
    for token in (match[0] for match in _PARTS.finditer(value)):
        if closing and token == closing[-1]:
            closing.pop()
        elif token in _OPENS and not (closing and closing[-1] in (b")", b">", b"]") and token != b"("):
            closing.append(_OPENS[token])
        elif token == b"," and not closing:
            found.append(b"".join(parts).strip())
            parts.clear()
            continue
        parts.append(token)
    found.append(b"".join(parts).strip())
    return [address for address in found if address]
