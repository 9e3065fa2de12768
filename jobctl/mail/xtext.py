"""Text where only ASCII may stand: xtext (RFC 3461 section 4), and addresses with more than that (RFC 6533)."""

import re

_NOT_XTEXT = re.compile(r"[^!-*,-<>-~]")
_XTEXT = re.compile(rb"\+([0-9A-F]{2})")
_NOT_QCHAR = re.compile(r"[^!-*,-<>-\[\]-~]")
_EMBEDDED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")


def xtext(text: str) -> str:
    """What is not printable ASCII, and ``+`` and ``=``, as ``+`` and two digits; octets above 127 are UTF-8."""
    return _NOT_XTEXT.sub(lambda found: "".join(f"+{octet:02X}" for octet in found[0].encode()), text)


def decode_xtext(text: str) -> str:
    """The inverse of :func:`xtext`; what is none of it is left as it stands."""
    octets = _XTEXT.sub(lambda found: bytes.fromhex(found[1].decode()), text.encode("utf-8", "replace"))
    return octets.decode("utf-8", "replace")


def embedded(address: str) -> str:
    """An address of type ``utf-8`` as utf-8-addr-xtext: ``\\x{E9}`` for what cannot stand (RFC 6533 section 3)."""
    return _NOT_QCHAR.sub(lambda found: f"\\x{{{ord(found[0]):02X}}}", address)


def decode_embedded(text: str) -> str:
    """The inverse of :func:`embedded`; a number that is no character becomes U+FFFD."""
    return _EMBEDDED.sub(_character, text)


def orcpt_of(address: str) -> str:
    """The value of an ORCPT parameter that names an address."""
    return f"rfc822;{xtext(address)}" if address.isascii() else f"utf-8;{embedded(address)}"


def _character(found: "re.Match[str]") -> str:
    number = int(found[1], 16)
    return chr(number) if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else "\ufffd"
