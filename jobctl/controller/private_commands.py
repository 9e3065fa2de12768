"""What the private commands XADR, XSTA, XGEN and XCIR are answered."""

from typing import Any

import jobctl
from jobctl.control.account_requests import Counters
from jobctl.mail.reply import Reply
from jobctl.routing.router import NoRoute

COMMANDS = ("XADR", "XSTA", "XGEN", "XCIR")
# Lines of a reply.
_MOST = 100


class PrivateCommands:
    """:param controller: :class:`jobctl.controller.controller.Controller`"""

    def __init__(self, controller: Any) -> None:
        self._at = controller

    async def answer(self, command: str, address: str, source_channel: str) -> Reply:
        """The reply to one of :data:`COMMANDS`; ``address``: of XADR."""
        if command == "XADR":
            return self._routed(address, source_channel)
        if command == "XSTA":
            return await self._counted()
        if command == "XGEN":
            return self._set_up()
        return Reply(250, "2.3.0 There are no circuit checks here.")

    def _routed(self, address: str, source_channel: str) -> Reply:
        try:
            route = self._at.router.route(address, source_channel)
        except NoRoute as why:
            return Reply(550, f"{why.status} {why.text}")
        lines = [
            f"2.1.5 address {route.address}",
            f"channel {route.channel}",
            f"host {route.host or '-'}",
            f"next hop {route.next_hop or '-'}",
        ]
        return Reply(250, "\n".join(lines))

    async def _counted(self) -> Reply:
        rows = await self._at.counters.counters(Counters(), None, None)
        lines = [
            f"{row['channel']} received {row['received']['messages']} delivered {row['delivered']['messages']}"
            f" failed {row['failed']['messages']} stored {row['stored']['messages']}"
            for row in rows
        ]
        if len(lines) > _MOST - 1:
            lines[_MOST - 2 :] = [f"and {len(lines) - _MOST + 2} more"]
        return Reply(250, "\n".join([f"2.3.0 {len(rows)} channels", *lines]))

    def _set_up(self) -> Reply:
        settings = self._at.settings
        lines = [
            f"2.3.0 jobctl {jobctl.__version__}",
            f"{len(settings.channels)} channels, {len(settings.rules)} rewrite rules, "
            f"{len(settings.mta.mappings)} mapping tables",
            "the configuration and the character sets are not compiled",
        ]
        return Reply(250, "\n".join(lines))
