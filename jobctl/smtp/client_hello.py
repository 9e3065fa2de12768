"""How the client introduces itself, and what it learns from the answer."""

from jobctl.smtp.client_config import ClientConfig
from jobctl.smtp.client_states import Step


def hello_step(config: ClientConfig, banner: str) -> Step:
    """
    EHLO or HELO: by the keyword ``ehlo``, ``checkehlo`` or ``noehlo``; without one EHLO, unless the
    banner has "fire away", as servers had that hang up on EHLO.
    """
    if config.lmtp:
        return Step.EHLO
    keyword = config.channel.ehlo
    said = banner.lower()
    if config.helo_only or keyword == "noehlo":
        return Step.HELO
    if keyword == "checkehlo":
        return Step.EHLO if "esmtp" in said else Step.HELO
    if keyword is None and "fire away" in said:
        return Step.HELO
    return Step.EHLO


def hello_command(config: ClientConfig, step: Step) -> bytes:
    """The line to send."""
    verb = "LHLO" if config.lmtp else step.name
    return f"{verb} {config.name}\r\n".encode("ascii", "replace")


def extensions_offered(text: str) -> dict[str, str]:
    """
    :param text: Of the reply to EHLO: the peer's name, then a line for each extension.
    :return: Keyword in upper case to its parameters as written.
    """
    offered = {}
    for line in text.split("\n")[1:]:
        keyword, _, parameters = line.strip().partition(" ")
        if keyword:
            offered[keyword.upper()] = parameters.strip()
    return offered
