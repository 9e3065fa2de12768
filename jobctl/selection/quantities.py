"""Ages and sizes as people write them."""

import re

from jobctl.mail.durations import parse_duration

_SHORT = re.compile(r"(?:\d{1,9}(?:\.\d{1,6})?[wdhms])+", re.IGNORECASE | re.ASCII)
_PART = re.compile(r"([\d.]+)([wdhms])", re.IGNORECASE | re.ASCII)
_UNITS = {"w": 7 * 86400.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}

_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?) ?([a-z]*)", re.IGNORECASE | re.ASCII)
# A block is 1024 octets, as block_size has it where nothing else is said (W:Block_size).
_FACTORS = {
    **dict.fromkeys(("", "b", "byte", "bytes", "octet", "octets"), 1),
    **dict.fromkeys(("k", "kb", "kib", "block", "blocks"), 1024),
    **dict.fromkeys(("m", "mb", "mib"), 1024**2),
    **dict.fromkeys(("g", "gb", "gib"), 1024**3),
}


def duration(text: str) -> float:
    """
    ``90s``, ``5m``, ``1h``, ``2d``, ``1w``, ``1d12h`` or ISO 8601 (``PT1H``), in seconds.

    :raises ValueError: It is none; a number needs its unit.
    """
    if text.strip() == "0":
        return 0.0
    if _SHORT.fullmatch(text):
        return sum(float(number) * _UNITS[unit.lower()] for number, unit in _PART.findall(text))
    if text[:1] in ("p", "P"):
        return parse_duration(text)
    raise ValueError(f"{text!r} is no duration: write 90s, 5m, 1h, 2d, 1d12h or PT1H")


def octets(text: str) -> float:
    """
    ``500``, ``10KB``, ``1.5MB``, ``2GB`` or ``20blocks``, in octets; K, M and G are powers of 1024.

    :raises ValueError: It is none.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or found[2].lower() not in _FACTORS:
        raise ValueError(f"{text!r} is no size: write 500, 10KB, 1.5MB, 2GB or 20blocks")
    return float(found[1]) * _FACTORS[found[2].lower()]
