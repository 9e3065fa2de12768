"""ETRN (RFC 1985): clients start the queue of a host or a channel, within bounds."""

from typing import Any

from twisted.internet.interfaces import IDelayedCall

from jobctl.config.settings import ChannelSettings
from jobctl.jobprotocol.frames import Etrn
from jobctl.mail.address import normal_domain
from jobctl.mail.envelope import Source
from jobctl.mail.reply import Reply
from jobctl.mapping.access import etrn_access
from jobctl.net.dns_cache import DnsCache
from jobctl.routing.router import NoRoute
from jobctl.schedule.calls import Target

# Seconds in which a host, or a channel, is started once.
INTERVAL = 60.0
# Seconds between two looks at the queue: those that ask meanwhile share the next one.
_PAUSE = 1.0
_MOST_REMEMBERED = 10_000


class EtrnRequests:
    """
    Answers ETRN and starts queues.

    Anybody may ask, unless the table ETRN_ACCESS or a channel's ``blocketrn`` forbids it, so nobody
    learns more than ``allowetrn`` tells, and nothing is started more often than each :data:`INTERVAL`:
    who asks again is told the same, and it is started when the interval is over.

    :param controller: :class:`jobctl.controller.controller.Controller`
    """

    def __init__(self, controller: Any) -> None:
        self._at = controller
        # When each was started last; and when those may be that wait.
        self._started: DnsCache[float] = DnsCache(_MOST_REMEMBERED)
        self._wanted: dict[Target, float] = {}
        self._looked = -_PAUSE
        self._look: IDelayedCall | None = None

    def answer(self, source_channel: str, frame: Etrn) -> Reply:
        """Decide about a request, and start what it is for."""
        settings = self._at.settings
        node = frame.node
        try:
            name, host = self._meant(node, source_channel)
        except NoRoute:
            return _unable(node)
        channel = settings.channels.get(name)
        if channel is None or not channel.master_command:
            return _unable(node)
        source = frame.source or Source(source_channel)
        refusal = etrn_access(self._at.intake.access, source, name, node)
        if refusal is not None:
            return refusal
        if "blocketrn" in channel.keywords:
            return Reply(459, f"4.7.1 Node {node} not allowed: its mail is not started by ETRN")
        calls = self._at.scheduler.calls
        if calls.stopped(name):
            return _unable(node)
        waiting: int | None = calls.waiting(name, host)
        if waiting != 0:
            self._start((name, host))
        return _told(settings.channels.get(source_channel), node, name, waiting)

    def stop(self) -> None:
        """Start nothing any more."""
        if self._look is not None and self._look.active():
            self._look.cancel()

    def _meant(self, node: str, source_channel: str) -> Target:
        """
        The channel, and the host of it that its queue knows; ``None``: the whole channel.

        :raises NoRoute: The name leads nowhere.
        """
        if node.startswith("#"):
            return node[1:].lower(), None
        route = self._at.router.route(f"postmaster@{normal_domain(node.removeprefix('@'))}", source_channel)
        return route.channel, None if node.startswith("@") else route.host

    def _start(self, target: Target) -> None:
        now = self._at.reactor.seconds()
        last = self._started.get(target, now)
        if target not in self._wanted and len(self._wanted) < _MOST_REMEMBERED:
            due = now if last is None else last + INTERVAL
            self._wanted[target] = due
            self._look_at(due)

    def _look_at(self, due: float) -> None:
        at = max(due, self._looked + _PAUSE)
        if self._look is not None and self._look.active():
            if self._look.getTime() <= at:
                return
            self._look.cancel()
        self._look = self._at.reactor.callLater(max(at - self._at.reactor.seconds(), 0), self._call)

    def _call(self) -> None:
        """Have those tried whose time has come."""
        now = self._looked = self._at.reactor.seconds()
        ready = [target for target, due in self._wanted.items() if due <= now]
        for target in ready:
            del self._wanted[target]
            self._started.put(target, now, now, INTERVAL)
        self._at.scheduler.calls.call(ready, now)
        self._at.dispatch.kick()
        if self._wanted:
            self._look_at(min(self._wanted.values()))


def _unable(node: str) -> Reply:
    return Reply(458, f"4.4.0 Unable to queue messages for node {node}")


def _told(source: ChannelSettings | None, node: str, channel: str, waiting: int | None) -> Reply:
    """Only ``allowetrn`` lets a client know which channel is run, and what waits there."""
    if source is None or "allowetrn" not in source.keywords:
        return Reply(250, f"2.0.0 OK, queuing for node {node} started")
    if waiting is None:
        return Reply(252, f"2.0.0 OK, pending messages for node {node} started: channel {channel}")
    if waiting == 0:
        return Reply(251, f"2.0.0 OK, no messages waiting for node {node}: channel {channel}")
    return Reply(253, f"2.0.0 OK, {waiting} pending messages for node {node} started: channel {channel}")
