"""How many connections each client has at a time (``max_conns_per_address``)."""


class AddressCounts:
    """
    Connections by the address of their client.

    :ivar most: Of one address, ``None``: any number.
    """

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._connected: dict[str, int] = {}

    def count(self, client: str) -> bool:
        """
        A client has connected; ``False``: it has more connections than an address may have.

        :param client: ``""``: it may have any number, because it came by a UNIX socket and has no address, or speaks
            for others.
        """
        if not client:
            return True
        count = self._connected[client] = self._connected.get(client, 0) + 1
        return self.most is None or count <= self.most

    def forget(self, client: str) -> None:
        """A connection that was counted is over."""
        left = self._connected.get(client, 0) - 1
        if left > 0:
            self._connected[client] = left
        else:
            self._connected.pop(client, None)
