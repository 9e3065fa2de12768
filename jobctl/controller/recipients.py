"""Who can be written to, where a channel does not take mail for everybody."""

import os
from collections.abc import Callable

from twisted.logger import Logger

from jobctl.config.settings import ChannelSettings
from jobctl.mail.address import normal_domain, split_address
from jobctl.mail.maildir_path import maildir_path

log = Logger()

# Seconds that a file is believed not to have changed.
_BELIEVED = 2.0
_LONGEST = 256 * 1024 * 1024


class _List:
    """One recipients file as it was last read."""

    def __init__(self) -> None:
        self.mark: tuple[int, int] | None = None
        self.looked = -_BELIEVED
        self.known: frozenset[str] = frozenset()


class KnownRecipients:
    """
    ``recipients_file`` and ``existingmaildirs`` of channels.

    :param seconds: A clock in seconds, for how long a file is believed.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._lists: dict[str, _List] = {}

    def knows(self, channel: ChannelSettings, address: str) -> bool:
        """
        Whether mail for an address can be delivered by a channel.

        :param address: As the rewrite rules leave it.
        :raises OSError: It cannot be found out now: a temporary failure.
        """
        if channel.recipients_file is not None and not self._listed(channel.recipients_file, address):
            return False
        if channel.existingmaildirs and channel.maildir is not None:
            return os.path.isdir(maildir_path(channel.maildir, address))
        return True

    def _listed(self, path: str, address: str) -> bool:
        known = self._current(path)
        local, domain = split_address(address)
        # Local parts are compared without regard to case, as nearly every system that delivers does.
        local, domain = local.lower(), normal_domain(domain)
        return f"{local}@{domain}" in known or local in known or f"@{domain}" in known

    def _current(self, path: str) -> frozenset[str]:
        found = self._lists.setdefault(path, _List())
        now = self._seconds()
        if now - found.looked < _BELIEVED:
            return found.known
        status = os.stat(path)
        mark = (status.st_mtime_ns, status.st_size)
        if mark != found.mark:
            with open(path, encoding="utf-8", errors="replace") as file:
                found.known = frozenset(_normal(line) for line in file.read(_LONGEST).splitlines())
            log.info("{path}: {count} recipients", path=path, count=len(found.known))
            found.mark = mark
        found.looked = now
        return found.known


def _normal(line: str) -> str:
    text = line.split("#", 1)[0].strip()
    if "@" not in text:
        return text.lower()
    local, _, domain = text.rpartition("@")
    return f"{local.lower()}@{normal_domain(domain)}"
