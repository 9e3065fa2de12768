"""How mail was spoken, as the transaction log tells it: letters behind the code of a record."""


def modifiers(
    *, esmtp: bool = False, lmtp: bool = False, tls: bool = False, user: bool = False, chunked: bool = False
) -> str:
    """
    The letters, sorted: A authenticated, C content by BDAT, E ESMTP, L LMTP, S TLS.

    LMTP has no other way to greet, so it is never told as ESMTP.
    """
    told = (("A", user), ("C", chunked), ("E", esmtp and not lmtp), ("L", lmtp), ("S", tls))
    return "".join(letter for letter, so in told if so)
