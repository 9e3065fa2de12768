"""Where mail for an address lies: the ``maildir`` of a channel, with the recipient's parts filled in."""

from jobctl.mail.address import normal_domain, split_address

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_+=@.")


def maildir_path(pattern: str, address: str) -> str:
    """
    No address leads out of the pattern's directories.

    :param pattern: A path, in which ``{local}`` and ``{domain}`` stand for the recipient's.
    """
    if "{" not in pattern:
        return pattern
    local, domain = split_address(address)
    return pattern.replace("{local}", _part(local)).replace("{domain}", _part(normal_domain(domain)))


def _part(text: str) -> str:
    """One name of a path: lower case, everything unusual as %XX, never ``.``, ``..`` or empty."""
    name = "".join(
        character if character in _SAFE else "".join(f"%{octet:02X}" for octet in character.encode("utf-8"))
        for character in text.lower()
    )
    return name.replace(".", "%2E", 1) if name.startswith(".") else name or "%"
