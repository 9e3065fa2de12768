"""Command lines as text: ASCII, and UTF-8 where it may be (RFC 6531)."""

from jobctl.mail.reply import Reply
from jobctl.smtp import replies
from jobctl.smtp.server_talk import Talk


def decoded(talk: Talk, line: bytes) -> str | None:
    """ASCII; UTF-8 in addresses where SMTPUTF8 is offered (RFC 6531 section 3.1); ``None``: neither."""
    if line.isascii():
        return line.decode("ascii")
    if not talk.config.smtputf8 or line[:4].upper() not in (b"MAIL", b"RCPT", b"VRFY"):
        return None
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return None


def not_ascii(talk: Talk, line: bytes) -> None:
    """Answer a line that is no text."""
    verb = line[:4].upper()
    if verb not in (b"MAIL", b"RCPT"):
        talk.bad("", replies.NOT_ASCII_COMMAND)
        return
    if verb == b"RCPT":
        talk.limits.rejected()
    talk.refuse("", ascii_refusal(talk))


def ascii_refusal(talk: Talk) -> Reply:
    """What to say to an address that only SMTPUTF8 allows, where it was not asked for, or is not offered."""
    return replies.NOT_ASCII_YET if talk.config.smtputf8 else replies.NOT_ASCII
