"""How much one client may do in a session, by the channel's keywords and TCP options."""

from jobctl.config.settings import RECIPIENT_LIMIT_BIT, ChannelSettings
from jobctl.mail.reply import Reply

TRANSACTION_LIMIT = Reply(450, "4.5.3 number of transactions exceeds allowed maximum")
NO_MORE_TRANSACTIONS = Reply(451, "4.5.3 No more transactions allowed")
DISCONNECT_TRANSACTIONS = Reply(450, "4.7.0 Session transaction limit reached; disconnecting")
DISCONNECT_RECIPIENTS = Reply(450, "4.7.0 Session recipient limit reached; disconnecting")
DISCONNECT_REJECTS = Reply(450, "4.7.0 Session rejection limit reached; disconnecting")
RECIPIENT_LIMIT = Reply(452, "4.2.3 too many recipients specified")
RECIPIENT_LIMIT_FOR_GOOD = Reply(550, RECIPIENT_LIMIT.text)
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3 Too many recipients specified")
TOO_MANY_REJECTIONS = Reply(451, "4.5.3 Too many rejections; try again later")
VERIFICATION_BLOCKED = Reply(451, "4.5.3 Verification blocked; too many rejections")
RECIPIENT_CUTOFF = Reply(451, "4.4.5 Error ending envelope - Too many recipients specified")
TRANSACTION_BLOCKED = Reply(451, "4.5.3 Transaction blocked; too many recipients specified")
ETRN_LIMIT = Reply(458, "4.7.1 ETRN session limit reached")
HELO_TOO_LONG = Reply(501, "5.5.2 HELO domain name too long.")

# Without ``disconnectbadcommandlimit``: a peer that does not speak SMTP is not listened to for ever.
DEFAULT_BAD_COMMANDS = 20
# The original's default of disconnectbadauthlimit.
DEFAULT_BAD_AUTHS = 3


def _reached(count: int, limit: int | None) -> bool:
    return limit is not None and count >= limit


class SessionLimits:
    """
    Counts of one session, and the reply when one is used up; ``None`` says go on.

    :ivar channel: Whose limits they are; another one when the source channel changes.

    A limit of N lets N things happen. Recipients presented and accepted are counted by
    transaction, everything else by session.
    """

    __slots__ = (
        *("_accepted", "_bad", "_bad_auths", "_etrns", "_options", "_presented", "_recipients"),
        *("_recipient_limit", "_rejections", "_transactions", "_verifications", "channel"),
    )

    def __init__(self, channel: ChannelSettings, use_permanent_error: int = 0) -> None:
        self.channel = channel
        for_good = use_permanent_error & RECIPIENT_LIMIT_BIT
        self._recipient_limit = RECIPIENT_LIMIT_FOR_GOOD if for_good else RECIPIENT_LIMIT
        self._options = channel.options
        self._transactions = 0
        self._recipients = 0
        self._rejections = 0
        self._verifications = 0
        self._etrns = 0
        self._bad = 0
        self._bad_auths = 0
        self._presented = 0
        self._accepted = 0

    def disconnect(self) -> Reply | None:
        """Asked at MAIL and RSET: the reply with which to end the session."""
        channel = self.channel
        if _reached(self._transactions, channel.disconnecttransactionlimit):
            return DISCONNECT_TRANSACTIONS
        if _reached(self._recipients, channel.disconnectrecipientlimit):
            return DISCONNECT_RECIPIENTS
        if _reached(self._rejections, channel.disconnectrejectlimit):
            return DISCONNECT_REJECTS
        return None

    def mail(self) -> Reply | None:
        """May another transaction begin?"""
        if _reached(self._transactions, self.channel.transactionlimit):
            return TRANSACTION_LIMIT
        limit = self._options.allow_transactions_per_session
        if _reached(self._transactions, limit) and not self._options.transaction_limit_rcpt_to:
            return NO_MORE_TRANSACTIONS
        return None

    def begin(self) -> None:
        """A transaction has begun."""
        self._transactions += 1
        self._presented = 0
        self._accepted = 0

    def recipient(self) -> Reply | None:
        """Another recipient is presented: may it be looked at?"""
        self._presented += 1
        self._recipients += 1
        channel, options = self.channel, self._options
        if _reached(self._rejections, options.allow_rejections_before_deferral) or _reached(
            self._rejections, channel.deferralrejectlimit
        ):
            return TOO_MANY_REJECTIONS
        limit = options.allow_transactions_per_session
        if limit is not None and self._transactions > limit:
            return NO_MORE_TRANSACTIONS
        if _reached(self._accepted, channel.recipientlimit):
            return self._recipient_limit
        if _reached(self._accepted, options.allow_recipients_per_transaction):
            return TOO_MANY_RECIPIENTS
        return None

    def accepted(self) -> None:
        """A recipient was accepted."""
        self._accepted += 1

    def rejected(self) -> None:
        """A RCPT or VRFY failed."""
        self._rejections += 1

    def data(self) -> Reply | None:
        """More recipients presented than tolerable: nobody gets the message."""
        cutoff = self.channel.recipientcutoff
        if cutoff is not None and self._presented > cutoff:
            return RECIPIENT_CUTOFF
        cutoff = self._options.reject_recipients_per_transaction
        if cutoff is not None and self._presented > cutoff:
            return TRANSACTION_BLOCKED
        return None

    def verification(self) -> Reply | None:
        """May another VRFY be answered?"""
        if _reached(self._rejections, self._options.allow_rejections_before_deferral):
            return VERIFICATION_BLOCKED
        if _reached(self._verifications, self._options.allow_recipients_per_transaction):
            return TOO_MANY_RECIPIENTS
        self._verifications += 1
        return None

    def etrn(self) -> Reply | None:
        """May another ETRN be answered?"""
        if _reached(self._etrns, self._options.allow_etrns_per_session):
            return ETRN_LIMIT
        self._etrns += 1
        return None

    def bad_auth(self) -> bool:
        """An AUTH failed; ``True`` when it was the last that is borne (``disconnectbadauthlimit``)."""
        self._bad_auths += 1
        limit = self.channel.disconnectbadauthlimit
        return self._bad_auths >= (DEFAULT_BAD_AUTHS if limit is None else limit)

    def helo(self, name: str) -> Reply | None:
        """May a client have a name as long as this?"""
        limit = self._options.max_helo_domain_length
        return HELO_TOO_LONG if limit is not None and len(name) > limit else None

    def bad_command(self) -> bool:
        """A command made no sense; ``True`` when it was one too many."""
        self._bad += 1
        limit = self.channel.disconnectbadcommandlimit
        return self._bad > (DEFAULT_BAD_COMMANDS if limit is None else limit)
