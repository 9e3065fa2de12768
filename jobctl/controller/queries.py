"""What clients ask beside mail: VRFY, EXPN, ETRN, whether a sender's domain is there; and who they are."""

from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger

from jobctl.controller.clients import Clients
from jobctl.controller.etrn import EtrnRequests
from jobctl.controller.private_commands import COMMANDS, PrivateCommands
from jobctl.errors import ChannelViolation
from jobctl.jobprotocol.frames import Etrn, Event, Route, VerdictFrame
from jobctl.mail.envelope import Source
from jobctl.mail.reply import Reply
from jobctl.net.sender_domain import LATER, sender_reply
from jobctl.routing.router import NoRoute

log = Logger()

REMOTE = Reply(252, "2.5.0 Possible remote address not checked")
_UNCHECKED = Reply(451, "4.3.0 Addresses cannot be checked now; try again later.")


class Queries:
    """
    Answers the frames ``route`` that are not about a recipient of mail, and ``etrn``.

    :param controller: :class:`jobctl.controller.controller.Controller`
    :ivar clients: Answers ``locate``.
    """

    def __init__(self, controller: Any) -> None:
        self._at = controller
        self._etrn = EtrnRequests(controller)
        self._private = PrivateCommands(controller)
        self.clients = Clients(controller, lambda channel: controller.resolvers.of(channel))

    def ask(self, job: Any, frame: Route) -> None:
        """
        VRFY and EXPN are answered at once, MAIL when the name service has spoken.

        :raises ChannelViolation: Another command.
        """
        if frame.command == "MAIL":
            done = ensureDeferred(self._sender(job, frame))
            done.addErrback(lambda why: log.failure("bug while a sender's domain is looked up", failure=why))
        elif frame.command in ("VRFY", "EXPN"):
            self._tell(job, frame.id, self.address(_came_by(job, frame), frame))
        elif frame.command in COMMANDS:
            done = ensureDeferred(self._asked_privately(job, frame))
            done.addErrback(lambda why: log.failure("bug in a private command", failure=why))
        else:
            raise ChannelViolation(f"route {frame.id[:64]!r}: no such command: {frame.command[:64]!r}")

    def etrn(self, job: Any, frame: Etrn) -> None:
        """A client wants a queue started."""
        channel = _came_by(job, frame)
        source = frame.source or Source(channel)
        reply = self._etrn.answer(channel, frame)
        self._at.books.event(
            job,
            Event(
                event="etrn",
                transport=source.transport,
                application=source.application,
                modifiers=source.modifiers,
                recipient=frame.node,
                text=str(reply),
                channel=channel,
            ),
        )
        self._tell(job, frame.id, reply)

    def stop(self) -> None:
        """Nothing more is started."""
        self._etrn.stop()

    def address(self, source_channel: str, frame: Route) -> Reply:
        """
        What VRFY and EXPN say of an address (RFC 5321 sections 3.5.2 and 3.5.3).

        Who may be written to is told to anybody at RCPT, so it is here; of other domains nothing is told.
        EXPN shows what the rewrite rules make of the address.
        """
        intake, asked = self._at.intake, frame.recipient
        try:
            route = intake.router.route(asked, source_channel)
            if not intake.router.is_ours(asked, source_channel):
                return REMOTE
            known = intake.knows(asked, source_channel)
        except NoRoute as why:
            return Reply(550, f"{why.status} {why.text}")
        except OSError as why:
            log.warn("{address} cannot be checked: {why}", address=asked, why=str(why))
            return _UNCHECKED
        if not known:
            return Reply(550, f"5.1.1 unknown or illegal alias: {asked}")
        shown = asked if frame.command == "VRFY" and "@" in asked else route.address
        if intake.checks(route.channel):
            return Reply(250, f"2.1.5 <{shown}>")
        return Reply(252, f"2.5.0 Possible local address <{shown}>")

    async def _asked_privately(self, job: Any, frame: Route) -> None:
        reply = _UNCHECKED
        try:
            reply = await self._private.answer(frame.command, frame.recipient, _came_by(job, frame))
        finally:
            self._tell(job, frame.id, reply)

    async def _sender(self, job: Any, frame: Route) -> None:
        settings = self._at.settings
        channel = settings.channels.get(_came_by(job, frame), job.spec.channel)
        reply = LATER
        try:
            blocked = settings.mta.blocked_mail_from_ips
            reply = await sender_reply(self._at.resolvers.of(channel), frame.sender, blocked)
        finally:
            self._tell(job, frame.id, reply)

    def _tell(self, job: Any, id: str, reply: Reply) -> None:
        status = reply.enhanced or ""
        text = reply.text.removeprefix(status).strip()
        job.send(VerdictFrame(id=id, code=reply.code, status=status, text=text))


def _came_by(job: Any, frame: Route | Etrn) -> str:
    """The source channel: that of the job, or one that its clients can come to."""
    name: str = job.spec.source(frame.source.channel if frame.source is not None else "")
    return name
