"""HELP: the commands that a server takes, or how one of them is written (RFC 5321 section 4.1.1.8)."""

from jobctl.mail.reply import Reply
from jobctl.smtp.extensions import etrn_disabled
from jobctl.smtp.greeting import hello_verbs
from jobctl.smtp.server_config import ServerConfig
from jobctl.smtp.server_private import PRIVATE, serves
from jobctl.smtp.server_queries import expands

# In the order in which a client uses them.
_SYNTAX = {
    "HELO": "HELO name",
    "EHLO": "EHLO name",
    "LHLO": "LHLO name",
    "STARTTLS": "STARTTLS",
    "AUTH": "AUTH mechanism [response]",
    "XCLIENT": "XCLIENT attribute=value ...",
    "MAIL": "MAIL FROM:<address> [parameters]",
    "SEND": "SEND FROM:<address> [parameters]",
    "SAML": "SAML FROM:<address> [parameters]",
    "SOML": "SOML FROM:<address> [parameters]",
    "RCPT": "RCPT TO:<address> [parameters]",
    "DATA": "DATA",
    "BDAT": "BDAT size [LAST]",
    "RSET": "RSET",
    "NOOP": "NOOP",
    "VRFY": "VRFY address",
    "EXPN": "EXPN address",
    "ETRN": "ETRN host, ETRN @host or ETRN #channel",
    "XADR": "XADR address",
    "XSTA": "XSTA",
    "XCIR": "XCIR",
    "XGEN": "XGEN",
    "HELP": "HELP [command]",
    "QUIT": "QUIT",
}


def help_reply(config: ServerConfig, topic: str, permitted: bool = False) -> Reply:
    """
    :param topic: HELP's argument, a command; ``""``: all of them.
    :param permitted: As :func:`jobctl.smtp.server_private.serves`.
    """
    served = {verb: syntax for verb, syntax in _SYNTAX.items() if _serves(config, verb, permitted)}
    verb = topic.strip().upper()
    if verb in served:
        return Reply(214, f"2.3.0 Syntax: {served[verb]}")
    if verb:
        return Reply(504, "5.5.4 There is no help on that; HELP alone tells the commands.")
    kind = "an LMTP server (RFC 2033)" if config.lmtp else "an SMTP server (RFC 5321)"
    return Reply(214, f"2.3.0 Commands: {' '.join(served)}\n2.3.0 This is {kind}.")


def _serves(config: ServerConfig, verb: str, permitted: bool) -> bool:
    if verb in PRIVATE:
        return serves(config.channel, verb, permitted)
    if verb in ("SEND", "SAML", "SOML"):
        return not config.channel.options.disable_send
    if verb in ("HELO", "EHLO", "LHLO"):
        return verb in hello_verbs(config)
    if verb == "STARTTLS":
        return config.tls != "none"
    if verb == "AUTH":
        return bool(config.auth)
    if verb == "XCLIENT":
        return config.xclient
    if verb == "BDAT":
        return not config.channel.keywords.get("nochunkingserver")
    if verb == "EXPN":
        return expands(config)
    return verb != "ETRN" or not (etrn_disabled(config) or config.lmtp)
