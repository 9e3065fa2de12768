"""What is added to the header of submissions, where the source channel wants it (``submit``, ``authrewrite``)."""

from jobctl.config.settings import ChannelSettings
from jobctl.mail.envelope import Envelope
from jobctl.mail.reply import Reply
from jobctl.mail.submission import HeaderTooLong, completed, originator
from jobctl.mail.trace import rfc5322_date

TOO_LONG = Reply(554, "5.6.0 The header is too long to be completed.")


def wants_fixing(channel: ChannelSettings, user: str | None) -> bool:
    """Whether there is anything to be looked at."""
    return channel.submit or bool(channel.authrewrite and user is not None)


def fixed(
    channel: ChannelSettings,
    envelope: Envelope,
    user: str | None,
    beginning: bytes,
    whole: bool,
    when: float,
    envelope_id: str,
) -> tuple[bytes, bytes] | Reply:
    """
    What goes in front of a message, and its content; or why it is refused.

    :param beginning: The first octets of the content.
    :param whole: There are no more.
    """
    domain = channel.defaulthost[0] if channel.defaulthost else channel.local_host
    try:
        return completed(
            beginning,
            whole,
            date=rfc5322_date(when) if channel.submit else "",
            message_id=f"<{envelope_id}>" if channel.submit else "",
            originator=None if user is None else originator(user, domain, envelope.smtputf8),
            rewrite=channel.authrewrite,
        )
    except HeaderTooLong:
        return TOO_LONG
