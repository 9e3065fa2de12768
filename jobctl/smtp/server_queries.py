"""Commands that are about mail without being mail: VRFY, EXPN, ETRN, and what is not served at all."""

from jobctl.config.settings import ChannelSettings
from jobctl.mail.address import normal_domain, parse_path, split_address
from jobctl.mail.reply import Reply
from jobctl.smtp.extensions import etrn_disabled
from jobctl.smtp.questions import Expand, RunQueue, Verify
from jobctl.smtp.replies import ETRN_DISABLED, EXPN_DISABLED, NOT_IMPLEMENTED, SEND_DISABLED
from jobctl.smtp.server_config import ServerConfig
from jobctl.smtp.server_limits import SessionLimits

UNSERVED = ("SEND", "SAML", "SOML", "TURN", "XGEN", "XCIR", "XADR", "XSTA")


def verify(text: str, config: ServerConfig, limits: SessionLimits) -> Verify | Reply:
    """VRFY: a question, or the answer where a limit is reached or answers are to be vague."""
    refused = limits.verification()
    if refused is not None:
        return refused
    return vague_verification(text, config) if _hides(config.channel) else Verify(text)


def expand(text: str, config: ServerConfig, limits: SessionLimits) -> Expand | Reply:
    """EXPN: a question where ``expndisable``, ``expnallow`` and the option DISABLE_EXPAND allow it."""
    keywords = config.channel.keywords
    disabled = config.channel.options.disable_expand == 1 and not keywords.get("expnallow")
    return EXPN_DISABLED if disabled or keywords.get("expndisable") else Expand(text)


def run_queue(text: str, config: ServerConfig, limits: SessionLimits) -> RunQueue | Reply:
    """ETRN: ``disableetrn`` allows none, ``domainetrn`` only those that name a domain."""
    if etrn_disabled(config) or config.lmtp:
        return ETRN_DISABLED
    if config.channel.keywords.get("domainetrn") and text.startswith("#"):
        return Reply(501, "5.5.4 ETRN takes a domain here.")
    return limits.etrn() or RunQueue(text)


def vague_verification(text: str, config: ServerConfig) -> Reply:
    """The answer to VRFY that tells nothing: an address that may be ours, or one that is not."""
    try:
        address = parse_path(text, null_ok=False)
    except ValueError as why:
        return Reply(553, f"5.1.3 Bad address: {why}.")
    channel = config.channel
    ours = {config.name, config.host, channel.local_host, *channel.additional_host_names}
    domain = normal_domain(split_address(address)[1])
    if not domain or domain in {normal_domain(name) for name in ours}:
        return Reply(252, f"2.5.0 Possible local address <{address}>")
    return Reply(252, "2.5.0 Possible remote address not checked")


def unserved(verb: str, channel: ChannelSettings) -> Reply:
    """SEND and its kin, TURN, and the original's private commands."""
    if verb.startswith("X"):
        return Reply(550, f"5.7.0 {verb} command has been disabled.")
    if verb == "TURN" or not channel.options.disable_send:
        return NOT_IMPLEMENTED
    return SEND_DISABLED


def _hides(channel: ChannelSettings) -> bool:
    """``vrfyhide`` and ``vrfyallow`` go before the option HIDE_VERIFY."""
    if channel.keywords.get("vrfyhide"):
        return True
    return channel.options.hide_verify == 1 and not channel.keywords.get("vrfyallow")
