"""What a settlement makes of an entry's row: who leaves, and what becomes of the rest."""

import msgspec

from jobctl.errors import StoreError
from jobctl.mail.entry import Loss, Settlement, paused
from jobctl.mail.envelope import Recipient
from jobctl.store.records import GRACE, STATE_NUMBER, Row, microseconds


def settled(old: Row, settlement: Settlement, left: tuple[Recipient, ...], at: float) -> Row:
    """The row of an entry that stays."""
    new = msgspec.structs.replace(old, recipients=left, whole=old.whole and len(left) == len(old.recipients))
    for field in ("attempts", "last_reply", "reason", "suspect", "deaths", "warned", "deadline"):
        value = getattr(settlement, field)
        if value is not None:
            setattr(new, field, value)
    if settlement.due is not None:
        new.due = microseconds(settlement.due)
    # What is as good as deleted is not brought back by what else happens to it.
    if settlement.state is not None and (old.state != GRACE or settlement.ended is not None):
        new.state = STATE_NUMBER[settlement.state]
        new.paused, new.held_since = paused(old.paused, old.held_since, settlement.state, at)
    if settlement.place is not None:
        new.channel, new.host = settlement.place
    if settlement.priority is not None:
        new.priority = int(settlement.priority)
    if settlement.recipients is not None:
        if not settlement.recipients:
            raise StoreError("nobody stands in for the recipients")
        new.recipients, new.whole = settlement.recipients, False
    return new


def leaving(
    recipients: tuple[Recipient, ...], losses: tuple[tuple[str, Loss], ...]
) -> tuple[list[tuple[Recipient, Loss]], tuple[Recipient, ...]]:
    """
    Who leaves and who stays.

    A loss of somebody who is not an open recipient is nobody's; an address that is there
    twice leaves once for each loss.
    """
    if not losses:
        return [], recipients
    if len(recipients) == 1 and len(losses) == 1 and recipients[0].address == losses[0][0]:
        return [(recipients[0], losses[0][1])], ()
    gone: dict[str, list[Loss]] = {}
    for address, loss in reversed(losses):
        gone.setdefault(address, []).append(loss)
    lost, stay = [], []
    for recipient in recipients:
        waiting = gone.get(recipient.address)
        if waiting:
            lost.append((recipient, waiting.pop()))
        else:
            stay.append(recipient)
    return lost, tuple(stay)
