"""Mail addresses as SMTP writes them (RFC 5321 section 4.1.2), and the form in which domains are compared."""

import re
from ipaddress import IPv4Address, IPv6Address

import idna

# RFC 5321 section 4.5.3.1 has 64 for a local part; addresses made by VERP and SRS are longer and in use.
MAX_LOCAL = 256
MAX_DOMAIN = 255

_ATEXT = r"[^\x00-\x20\x7f()<>\[\]:;@\\,\".]"
# Dots at the ends or doubled are not allowed in a dot-string, but large sites have given out such addresses.
_LOCAL = re.compile(rf"(?:{_ATEXT}|\.)+")
_QUOTED = re.compile(r'"(?:[^\x00-\x1f\x7f"\\]|\\[^\x00-\x1f\x7f])*"')
_LABEL = r"[^\x00-\x2c./:;<=>?@\[\\\]^`{|}~\x7f]+"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_ROUTE = re.compile(r"@[^:\"<>\s]+:")
_LITERAL = re.compile(r"\[(?:[A-Za-z0-9-]+:)?[!-$&-Z^-~]+\]")
# What nearly every address looks like: accepted at once, with the same result as by the rules above.
_PLAIN = re.compile(r"<?([A-Za-z0-9_+=.-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)>?")


def parse_path(text: str, null_ok: bool) -> str:
    """
    Take the mailbox out of a path.

    :param text: ``<a@b>``, also without the brackets; a source route (``<@x,@y:a@b>``) is
        dropped, as RFC 5321 appendix C allows. A local part without domain is let through.
    :param null_ok: Whether ``<>`` may stand for nobody; it gives ``""``.
    :return: The mailbox as written, a dot that ends its domain dropped; no control characters in it.
    :raises ValueError: With the reason in words that can be told the peer.
    """
    found = _PLAIN.fullmatch(text)
    if found is not None and (text[0] == "<") == (text[-1] == ">") and len(text) <= MAX_DOMAIN:
        return found[1]
    return _parse_odd(text.strip(), null_ok)


def _parse_odd(text: str, null_ok: bool) -> str:
    if text.startswith("<") != text.endswith(">"):
        raise ValueError("unbalanced angle brackets")
    if not text.isprintable():
        raise ValueError("illegal character")
    bracketed = text.startswith("<")
    mailbox = text[1:-1] if bracketed else text
    if not mailbox:
        if bracketed and null_ok:
            return ""
        raise ValueError("empty address")
    route = _ROUTE.match(mailbox)
    if route is not None:
        mailbox = mailbox[route.end() :]
    local, domain = split_address(mailbox)
    if not (_QUOTED if local.startswith('"') else _LOCAL).fullmatch(local):
        raise ValueError("illegal local part")
    if len(local) > MAX_LOCAL:
        raise ValueError("local part too long")
    if mailbox == local:
        return local
    if len(domain) > MAX_DOMAIN:
        raise ValueError("domain too long")
    if domain.startswith("["):
        _check_literal(domain)
    elif not _DOMAIN.fullmatch(domain):
        raise ValueError("illegal domain")
    return f"{local}@{domain.removesuffix('.')}"


def _check_literal(domain: str) -> None:
    content = domain[1:-1]
    try:
        if not _LITERAL.fullmatch(domain):
            raise ValueError
        if content[:5].lower() == "ipv6:":
            IPv6Address(content[5:])
        elif ":" not in content:
            IPv4Address(content)
    except ValueError:
        raise ValueError("illegal domain literal") from None


def split_address(address: str) -> tuple[str, str]:
    """
    :param address: A mailbox without brackets.
    :return: Local part (quotes kept) and domain, ``""`` when it has none.
    """
    if address.endswith('"'):
        return address, ""
    local, at, domain = address.rpartition("@")
    return (local, domain) if at else (address, "")


def normal_domain(domain: str) -> str:
    """
    The one form in which a domain is compared and looked up: lower case, without a final dot,
    internationalised labels as A-labels (RFC 5890). A literal such as ``[192.0.2.1]`` is left alone.
    """
    if domain.startswith("["):
        return domain
    domain = domain.removesuffix(".").lower()
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return domain
