"""Commands that are about mail without being mail: VRFY, EXPN, ETRN."""

import re

from jobctl.config.settings import ChannelSettings
from jobctl.mail.address import normal_domain, parse_path, split_address
from jobctl.mail.reply import Reply
from jobctl.smtp.completion import completed_recipient
from jobctl.smtp.extensions import etrn_disabled
from jobctl.smtp.questions import Expand, RunQueue, Verify
from jobctl.smtp.replies import ETRN_DISABLED, EXPN_DISABLED
from jobctl.smtp.server_config import ServerConfig
from jobctl.smtp.server_limits import SessionLimits

# RFC 1985 section 5.3: a domain, ``@`` with a domain, or ``#`` with a queue's name.
_NODE = re.compile(r"#[A-Za-z0-9_$.-]{1,64}|@?(?:[A-Za-z0-9_.-]{1,255}|\[[A-Za-z0-9:.]{1,64}\])")


def verify(text: str, config: ServerConfig, limits: SessionLimits) -> Verify | Reply:
    """VRFY: a question, or the answer where a limit is reached or answers are to be vague."""
    refused = limits.verification()
    if refused is not None:
        return refused
    if _hides(config.channel):
        return vague_verification(text, config)
    address = recipient_meant(text, config)
    return address if isinstance(address, Reply) else Verify(text, address)


def expand(text: str, config: ServerConfig, limits: SessionLimits) -> Expand | Reply:
    """
    EXPN: a question where ``expnallow``, or ``expndefault`` and the option DISABLE_EXPAND, allow it.

    It tells no less than VRFY, and is limited with it.
    """
    if not expands(config):
        return EXPN_DISABLED
    refused = limits.verification()
    if refused is not None:
        return refused
    address = recipient_meant(text, config)
    return address if isinstance(address, Reply) else Expand(text, address)


def expands(config: ServerConfig) -> bool:
    """Whether EXPN is answered; unlike the original we do only where the channel says so."""
    keywords = config.channel.keywords
    if keywords.get("expndisable"):
        return False
    return bool(
        keywords.get("expnallow")
        or (keywords.get("expndefault") and config.channel.options.disable_expand == 0)
    )


def recipient_meant(text: str, config: ServerConfig) -> str | Reply:
    """The address that RCPT would mean."""
    address = _mailbox(text)
    if isinstance(address, Reply) or "@" in address:
        return address
    return completed_recipient(address, config.channel)


def _mailbox(text: str) -> str | Reply:
    # RFC 6531 section 3.7.4.2: the parameter says that the answer may be other than ASCII; ours are anyway.
    path, _, parameter = text.rpartition(" ")
    try:
        return parse_path(path.strip() if parameter.upper() == "SMTPUTF8" and path else text, null_ok=False)
    except ValueError as why:
        return Reply(553, f"5.1.3 Bad address: {why}.")


def run_queue(text: str, config: ServerConfig, limits: SessionLimits) -> RunQueue | Reply:
    """ETRN: ``disableetrn`` allows none, ``domainetrn`` only those that name a domain."""
    if etrn_disabled(config) or config.lmtp:
        return ETRN_DISABLED
    if _NODE.fullmatch(text) is None:
        return Reply(501, "5.5.4 Syntax: ETRN host, ETRN @host or ETRN #channel")
    if config.channel.keywords.get("domainetrn") and text.startswith("#"):
        return Reply(501, "5.5.4 ETRN takes a domain here.")
    return limits.etrn() or RunQueue(text)


def vague_verification(text: str, config: ServerConfig) -> Reply:
    """The answer to VRFY that tells nothing: an address that may be ours, or one that is not."""
    address = _mailbox(text)
    if isinstance(address, Reply):
        return address
    channel = config.channel
    ours = {config.name, config.host, channel.local_host, *channel.additional_host_names}
    domain = normal_domain(split_address(address)[1])
    if not domain or domain in {normal_domain(name) for name in ours}:
        return Reply(252, f"2.5.0 Possible local address <{address}>")
    return Reply(252, "2.5.0 Possible remote address not checked")


def _hides(channel: ChannelSettings) -> bool:
    """``vrfyhide`` and ``vrfyallow`` go before the option HIDE_VERIFY."""
    if channel.keywords.get("vrfyhide"):
        return True
    return channel.options.hide_verify == 1 and not channel.keywords.get("vrfyallow")
