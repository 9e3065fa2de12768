"""Who the clients of slave programs are: by which channel they come in, and what they are called."""

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from jobctl.config.settings import ChannelSettings
from jobctl.jobprotocol.frames import Locate, Located
from jobctl.mail.transportinfo import is_address
from jobctl.net.client_names import ClientNames
from jobctl.net.resolver import Resolver

log = Logger()


class Clients:
    """
    Answers the frames ``locate``; names are remembered, so most programs hear them at once.

    :param controller: :class:`jobctl.controller.controller.Controller`
    :param resolver: Gives the one that a channel wants asked.
    """

    def __init__(self, controller: Any, resolver: Callable[[ChannelSettings], Resolver]) -> None:
        self._at = controller
        self._resolver = resolver
        # By name servers, and what is made of names that lead elsewhere.
        self._names: dict[tuple[object, ...], ClientNames] = {}

    def locate(self, job: Any, frame: Locate) -> None:
        """By which channel a client comes in, at once; with its name when that is known or cannot be found out."""
        address = frame.host[1:].removesuffix("]").removeprefix("IPv6:")
        if frame.named and is_address(address):
            names = self._names_for(job.spec.channel)
            names.when_known(address, lambda name: self._tell(job, frame, name or ""))
        else:
            self._tell(job, frame, "")

    def _tell(self, job: Any, frame: Locate, name: str) -> None:
        own = job.spec.channel.name
        try:
            chosen = self._at.intake.router.source(frame.host, own)
        except Exception:
            log.failure(
                "bug while the channel of {host} is looked for; it is {channel}", host=frame.host, channel=own
            )
            chosen = None
        job.send(Located(id=frame.id, channel=job.spec.source(chosen or own), name=name))

    def _names_for(self, channel: ChannelSettings) -> ClientNames:
        how = {"forwardchecktag", "forwardcheckdelete"} & channel.keywords.keys()
        key = (channel.nameservers, *sorted(how))
        names = self._names.get(key)
        if names is None:
            names = self._names[key] = ClientNames(self._at.reactor, self._resolver(channel), channel)
        return names
