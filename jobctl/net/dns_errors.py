"""Why a host could not be found: the two outcomes a caller must tell apart."""

from jobctl.errors import JobctlError


class NoSuchHost(JobctlError):
    """
    The host takes no mail, and asking again would say the same: a permanent failure.

    :ivar status: RFC 3463 status of class 5; ``text`` the reason in words.
    """

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class DnsTrouble(JobctlError):
    """
    The name service gave no usable answer this time: defer, never bounce.

    :ivar status: RFC 3463 status of class 4; ``text`` the reason in words.
    """

    def __init__(self, text: str, status: str = "4.4.3") -> None:
        super().__init__(text)
        self.status = status
        self.text = text
