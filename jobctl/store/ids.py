"""Entry ids: a number that only grows, printed as ``Q`` and upper-case base 36."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def id_text(number: int) -> str:
    """``46655`` is ``QZZZ``; ``number`` is positive."""
    digits = []
    while number:
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    digits.append("Q")
    return "".join(reversed(digits))


def id_number(text: str) -> int:
    """The number of an id, 0 (which no entry has) for text that is no id of ours."""
    if len(text) > 13 or not text.startswith("Q") or not (text.isascii() and text.isalnum()):
        return 0
    return int(text[1:] or "0", 36)
