"""What a selector may go on with, for completion."""

from jobctl.selection.fields import FIELDS
from jobctl.selection.kinds import Choice

JOINING = ("and ", "or ", "not ")


def continued(text: str) -> list[str]:
    """
    What the last word of a selector may become.

    :param text: As far as it is written; nothing is said about whether that makes sense.
    :return: The whole text with the word complete: names of fields, words of choices, ``and``, ``or``, ``not``.
    """
    start = max(text.rfind(" "), text.rfind("("), text.rfind(",")) + 1
    lead, word = text[:start], text[start:]
    name, sign, value = _parted(word)
    if sign:
        field = next((field for field in FIELDS if name in (field.name, *field.aliases)), None)
        words = field.kind.words if field is not None and isinstance(field.kind, Choice) else ()
        return [f"{lead}{name}{sign}{one} " for one in words if one.startswith(value)]
    names = [field.name for field in FIELDS]
    joining = JOINING if lead.strip() else JOINING[2:]
    return [lead + one for one in (*names, *joining) if one.startswith(word)]


def _parted(word: str) -> tuple[str, str, str]:
    for sign in ("!=", "="):
        name, found, value = word.partition(sign)
        if found:
            return name, sign, value
    return word, "", ""
