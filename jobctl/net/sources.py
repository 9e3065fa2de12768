"""Our own addresses that connections come from, and what each is called."""

from jobctl.config.settings import ChannelSettings


class Sources:
    """
    By ``sourceaddresses``, taken in turn, else ``interfaceaddress``.

    :param turn: How many connections there have been already.
    :ivar helo: Names by address, for those that have one of their own.
    """

    def __init__(self, channel: ChannelSettings, turn: int = 0) -> None:
        self.helo: dict[str, str] = {}
        self._pools: dict[int, list[str]] = {4: [], 6: []}
        self._turn = turn
        for word in channel.sourceaddresses or (
            (channel.interfaceaddress,) if channel.interfaceaddress else ()
        ):
            address, _, name = word.partition("=")
            self._pools[6 if ":" in address else 4].append(address)
            if name:
                self.helo[address] = name

    def towards(self, address: str) -> str | None:
        """The next one of the same family; ``None``: the system chooses."""
        pool = self._pools[6 if ":" in address else 4]
        if not pool:
            return None
        self._turn += 1
        return pool[self._turn % len(pool)]
