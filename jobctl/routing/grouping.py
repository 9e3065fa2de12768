"""Recipients sorted into queue entries: ``single``, ``single_sys``, ``multiple``, ``addrsperfile``."""

from collections.abc import Mapping

import msgspec

from jobctl.config.settings import ChannelSettings
from jobctl.mail.envelope import Recipient
from jobctl.mail.xtext import orcpt_of

# Channel, destination host ("" where hosts are not told apart), recipients.
Group = tuple[str, str, list[Recipient]]


class Groups:
    """Recipients of one message as they are decided, in the order of the first of each group."""

    def __init__(self, channels: Mapping[str, ChannelSettings]) -> None:
        self._channels = channels
        self._groups: dict[tuple[str, str, int], list[Recipient]] = {}
        self._seen: set[tuple[str, str]] = set()

    def add(self, channel: str, host: str, recipient: Recipient) -> None:
        """A recipient that goes to ``host`` by ``channel``; nothing happens when it is there already."""
        local, _, domain = recipient.address.rpartition("@")
        address = (local, domain.lower())
        if address in self._seen:
            return
        self._seen.add(address)
        # Each recipient of a "single" channel is a group of its own.
        number = len(self._seen) if self._channels[channel].copies == "single" else 0
        self._groups.setdefault((channel, host, number), []).append(recipient)

    def all(self) -> list[Group]:
        """The groups, none with more than ``addrsperfile`` recipients."""
        groups = []
        for (channel, host, _), recipients in self._groups.items():
            most = self._channels[channel].addrsperfile or len(recipients)
            for start in range(0, len(recipients), most):
                groups.append((channel, host, recipients[start : start + most]))
        return groups


def readdressed(recipient: Recipient, address: str) -> Recipient:
    """
    The recipient under the address that the rules gave it.

    What the sender wrote is kept as ORCPT, so that a notification can name it (RFC 3461 section 4.2);
    an address that was only completed with our own name needs none.
    """
    if "@" not in recipient.address:
        return msgspec.structs.replace(recipient, address=address)
    return msgspec.structs.replace(
        recipient,
        address=address,
        orcpt=recipient.orcpt or orcpt_of(recipient.address),
        intermediate=recipient.intermediate or recipient.address,
    )
