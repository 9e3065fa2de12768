"""The password file: ``name:hash`` lines, made by ``jobctl passwd``."""

from jobctl.sasl.secrets import known_form, prepared


def read_password_file(text: str) -> tuple[dict[str, str], list[tuple[int, str]]]:
    """
    :return: Hash by user name, and what is wrong with lines that are left out: line number and text.
    """
    users: dict[str, str] = {}
    wrong: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, colon, kept = line.partition(":")
        if not colon or not name.strip():
            wrong.append((number, "is not name:hash"))
        elif not known_form(kept.strip()):
            wrong.append((number, f"the hash of {name} is none that jobctl passwd makes"))
        else:
            users[prepared(name.strip())] = kept.strip()
    return users, wrong


def with_user(text: str, name: str, kept: str | None) -> str:
    """
    The file's text with a user's line replaced, added, or (``kept`` ``None``) taken out; all else stays.

    :raises ValueError: A name that the file cannot hold.
    """
    if not name or ":" in name or name.startswith("#") or not name.isprintable() or name != name.strip():
        raise ValueError(f"not a user name: {name!r}")
    lines = text.splitlines()
    found = [at for at, line in enumerate(lines) if line.partition(":")[0].strip() == name and ":" in line]
    if kept is None:
        for at in reversed(found):
            del lines[at]
    elif found:
        lines[found[0]] = f"{name}:{kept}"
        for at in reversed(found[1:]):
            del lines[at]
    else:
        lines.append(f"{name}:{kept}")
    return "".join(f"{line}\n" for line in lines)
