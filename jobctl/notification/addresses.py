"""Recipients' addresses as notifications name them (RFC 3461 section 4.2, RFC 6533 section 3)."""

import re

import msgspec

from jobctl.mail.envelope import Recipient
from jobctl.mail.xtext import decode_embedded, decode_xtext, embedded
from jobctl.notification.wording import clean

_TYPE = re.compile(r"[A-Za-z0-9-]{1,32}")


class Typed(msgspec.Struct, frozen=True):
    """An address with its type, ``rfc822`` for nearly all."""

    kind: str
    address: str

    def written(self, unicode: bool) -> str:
        """
        :param unicode: Where UTF-8 may stand (``message/global-delivery-status``); else what is
            not ASCII is written as ``\\x{E9}`` (RFC 6533 section 3, utf-8-addr-xtext).
        """
        if self.address.isascii():
            return f"{self.kind};{self.address}"
        if unicode:
            return f"utf-8;{self.address}"
        return f"utf-8;{embedded(self.address)}"


def typed(address: str) -> Typed:
    """A mailbox of ours."""
    return Typed("rfc822", clean(address))


def original_of(recipient: Recipient) -> Typed | None:
    """What ORCPT says; ``None`` when there is none, or nothing that has a type."""
    kind, semicolon, text = decode_xtext(recipient.orcpt or "").partition(";")
    if not semicolon or not text or _TYPE.fullmatch(kind) is None:
        return None
    if kind.lower() == "utf-8":
        text = decode_embedded(text)
    return Typed(kind, clean(text))


def final_of(recipient: Recipient, form: str) -> Typed:
    """
    The address that Final-Recipient shows.

    :param form: ``includefinal``: the one that was tried last; ``useintermediate``: the one before our
        rules made another of it, which would tell of our inner hosts; ``suppressfinal``: the original.
    """
    if form == "includefinal":
        return typed(recipient.address)
    intermediate = typed(recipient.intermediate or recipient.address)
    if form == "suppressfinal":
        original = original_of(recipient)
        if original is not None and original.kind.lower() in ("rfc822", "utf-8"):
            return original
    return intermediate
