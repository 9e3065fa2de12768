"""Why content does not go on."""


class Unsendable(Exception):
    """
    It cannot be made what it has to be; what was given out of it so far is of no use.

    :ivar status: RFC 3463.
    """

    def __init__(self, status: str, why: str) -> None:
        super().__init__(why)
        self.status = status
