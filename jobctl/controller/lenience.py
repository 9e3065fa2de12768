"""Recipients that are accepted although nobody can write to them, or nobody can tell (``acceptalladdresses``)."""

from collections.abc import Iterable
from typing import Any

from jobctl.controller.refusals import Refusal, refused, unknown_recipient
from jobctl.mail.entry import StoredEntry
from jobctl.mail.envelope import Recipient
from jobctl.routing.router import NoRoute

_UNCHECKED = Refusal(451, "4.3.0", "Recipients cannot be checked now")


class Lenience:
    """
    What source channels with ``acceptalladdresses`` or ``accepttemporaryfailures`` let in, and what becomes of it.

    Such recipients wait in channel ``reprocess``, away from the others of their message, and are judged there.

    :param intake: :class:`jobctl.controller.intake.Intake`
    """

    def __init__(self, intake: Any) -> None:
        self._intake = intake

    def all_addresses(self, source_channel: str) -> bool:
        """Whether recipients that lead nowhere or are unknown are accepted, to be returned later."""
        channel = self._intake.settings.channels.get(source_channel)
        return channel is not None and channel.acceptalladdresses

    def trouble(self, source_channel: str) -> bool:
        """Whether recipients are accepted of which nobody can tell now."""
        channel = self._intake.settings.channels.get(source_channel)
        return channel is not None and channel.accepttemporaryfailures

    def doubtful(self, recipients: Iterable[Recipient], source_channel: str) -> dict[Recipient, None]:
        """Those of a message that comes in which are not to be queued where they lead."""
        everybody, trouble = self.all_addresses(source_channel), self.trouble(source_channel)
        if not (everybody or trouble):
            return {}
        found: dict[Recipient, None] = {}
        for recipient in recipients:
            try:
                known = self._intake.knows(recipient.address, source_channel)
            except NoRoute:
                known = not everybody
            except OSError:
                known = not trouble
            if not known:
                found[recipient] = None
        return found

    def judged(self, stored: StoredEntry) -> dict[str, Refusal]:
        """
        Recipients that wait, and why they cannot go on: for good (5xx), or now (4xx).

        Whatever the keywords say by now: nothing that was let in by them goes on unseen.
        """
        # Tables were asked about all others when they came in, and cost more than all the rest for many recipients.
        asked = self._intake.access and (self.all_addresses(stored.source.channel) or stored.entry.attempts)
        found = {}
        for recipient in stored.envelope.recipients:
            why = self._obstacle(stored, recipient, bool(asked))
            if why is not None:
                found[recipient.address] = why
        return found

    def _obstacle(self, stored: StoredEntry, recipient: Recipient, asked: bool) -> Refusal | None:
        intake, source = self._intake, stored.source
        try:
            if not intake.knows(recipient.address, source.channel):
                return unknown_recipient(recipient.address)
            if not asked:
                return None
            # Who led nowhere when the client asked could not be asked about then.
            permission = intake.permission(stored.envelope.sender, recipient, source, None)
        except NoRoute as why:
            return Refusal(550, why.status, why.text)
        except OSError:
            return _UNCHECKED
        return None if permission.refusal is None else refused(permission.refusal)
