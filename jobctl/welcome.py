"""What a newcomer sees first: one message through the generic channel, its dialogue, and how to go on."""

from email.utils import formatdate
from typing import Any, TextIO

from twisted.logger import Logger

from jobctl.config.settings import Settings
from jobctl.errors import JobctlError
from jobctl.mail.envelope import Envelope, Recipient, Source
from jobctl.mail.trace import new_envelope_id

log = Logger()

SENDER = "postmaster@mail.example.org"
RECIPIENT = "newcomer@partner.example"


class Welcome:
    """
    Sends one message and shows what happens to it.

    :param controller: A running :class:`jobctl.controller.controller.Controller`.
    :param out: Where to print, a terminal most likely.
    """

    cancelled = False

    def __init__(self, controller: Any, out: TextIO) -> None:
        self._at = controller
        self._out = out

    def line(self, text: str) -> None:
        """One line of the dialogue."""
        self._say(f"  | {text}")

    def _say(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    async def show(self) -> None:
        """Send it, show it, and say how to go on; nothing is sent where the configuration has no generic channel."""
        settings = self._at.settings
        generic = [c for c in settings.channels.values() if c.transport is not None and c.master_command]
        if generic:
            try:
                await self._send(generic[0].name)
            except Exception as why:
                # The daemon serves all the same.
                self._say(f"It could not be sent: {why}")
                if not isinstance(why, JobctlError):
                    log.failure("unexpected, with the first message")
        self._say("")
        for service in settings.services.values():
            self._say(f"Mail comes in at {', '.join(service.listen)} (channel {service.channel}).")
        for channel in settings.channels.values():
            if channel.maildir is not None:
                self._say(f"Mail of channel {channel.name} lands in {channel.maildir}")
        port = _first_port(settings)
        if port:
            self._say(f"Send the next one:  swaks --to ann@{settings.local_host} --server 127.0.0.1:{port}")
        self._say("or without SMTP:    jobctl enqueue --from a@x.example --to b@partner.example message.eml")
        self._say("Look at the queue:  jobctl qm summarize       End: Ctrl-C")

    async def _send(self, channel: str) -> None:
        now = self._at.reactor.seconds()
        host = self._at.settings.local_host
        envelope_id = new_envelope_id(now, host)
        content = (
            f"Received: by {host} (jobctl first message) id {envelope_id}; {formatdate(now)}\r\n"
            f"Date: {formatdate(now)}\r\nFrom: jobctl <{SENDER}>\r\nTo: <{RECIPIENT}>\r\n"
            f"Message-ID: <{envelope_id}>\r\nSubject: The first message\r\n\r\n"
            "It went from one queue to another through the generic SMTP channel.\r\n"
        ).encode("ascii")
        self._say(f"The first message goes from channel {channel} through its SMTP dialogue:")
        stopped = await self._at.store.stopped()
        # Stopped, so that no ordinary job takes it before ours does in sight.
        self._at.scheduler.stop(channel)
        try:
            await self._at.intake.accept(
                Envelope(SENDER, (Recipient(RECIPIENT),)),
                Source("l"),
                content,
                len(content),
                envelope_id=envelope_id,
                channel=channel,
            )
            counts = await self._at.operations.begin_run(self._at.settings.channels[channel], self)
        finally:
            if channel not in stopped:
                self._at.scheduler.start(channel, self._at.reactor.seconds())
                self._at.dispatch.kick()
        self._say(
            f"Delivered: {counts['delivered']}, deferred: {counts['deferred']}, failed: {counts['failed']}."
        )


def _first_port(settings: Settings) -> str:
    for service in settings.services.values():
        for listen in service.listen:
            fields = listen.split(":")
            if fields[0] == "tcp" and len(fields) > 1:
                return fields[1].removeprefix("port=")
    return ""
