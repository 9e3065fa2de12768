"""The password file: ``name:hash`` lines, made by ``jobctl passwd``."""

import hmac
from collections.abc import Mapping

from jobctl.sasl.secrets import ITERATIONS, ScramKeys, known_form, prepared, read_keys


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


def scram_keys_of(users: Mapping[str, str], user: str) -> ScramKeys:
    """
    What SCRAM needs of a user (RFC 5802 section 3).

    Who is not there, or has a hash of another kind, gets keys that nobody can have the password to. They come
    of a secret of the file, so that salt and iterations are the same whenever, and of whichever program, they are
    asked, as those of users are: else whoever asks twice would know.

    :param users: As of :func:`read_password_file`.
    """
    user = prepared(user)
    kept = users.get(user)
    keys = read_keys(kept) if kept is not None else None
    if keys is not None:
        return keys
    secret = next(iter(users.values()), "").encode()
    like = next((one for text in users.values() if (one := read_keys(text)) is not None), None)
    size = 16 if like is None else len(like.salt)
    salt, stored, server = (
        hmac.digest(secret, f"{what} {user}".encode(), "sha256") for what in ("salt", "stored", "server")
    )
    return ScramKeys(ITERATIONS if like is None else like.iterations, salt[:size], stored, server)


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
