"""``jobctl test tls`` and ``test delivery``: what would happen to mail, step by step, without sending any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import printable, write, write_json
from jobctl.commands.parser import Commands, command
from jobctl.control.refusals import bad_address, unknown_channel
from jobctl.errors import UsageError

if TYPE_CHECKING:
    from cryptography import x509

    from jobctl.config.settings import ChannelSettings, Settings
    from jobctl.config.towards import Towards
    from jobctl.net.probe import Probe
    from jobctl.net.resolver import NextHop


def register(subcommands: Commands) -> None:
    """Make the commands known."""
    parser = command(
        subcommands,
        "tls",
        tls,
        "would connections to a destination be encrypted, and to whom?",
        "  jobctl test tls example.net\n  jobctl test tls mx.example.net --channel tcp_local",
        description="Connect as the destination's channel would, begin TLS, and show protocol, certificate and "
        "what each tls_policy would make of it. Exit status 0 where the channel's policy would send, 75 where mail "
        "would wait, 69 where it would be returned.",
    )
    parser.add_argument("destination", metavar="DESTINATION", help="domain, host or [address]")
    parser.add_argument("--channel", metavar="NAME", help="the channel, instead of the one the rules choose")
    parser = command(
        subcommands,
        "delivery",
        delivery,
        "what would happen to a message to an address?",
        "  jobctl test delivery bob@example.net\n"
        "  jobctl test delivery bob@example.net --from ann@example.org --source-channel tcp_local",
        description="Route the address, look its next hops up, connect, and ask whether the recipient is taken; no "
        "content is sent. Exit status 0: taken; 69: refused for good; 75: not now; 68: it goes nowhere.",
    )
    parser.add_argument("address", metavar="ADDRESS")
    parser.add_argument("--from", dest="sender", default="", metavar="ADDRESS", help="the sender (<>)")
    parser.add_argument(
        "--source-channel", default="l", metavar="NAME", help="the channel it comes in by (l)"
    )


class _Steps:
    """What happened so far, told as it happens or all at once as JSON."""

    def __init__(self, context: Context) -> None:
        self._json = context.json
        self.lines: list[str] = []

    def tell(self, line: str) -> None:
        self.lines.append(line)
        if not self._json:
            write(printable(line))

    def end(self, status: int, **more: Any) -> int:
        if self._json:
            write_json({"steps": self.lines, "status": status, **more})
        return status


def delivery(context: Context) -> int:
    """From the rewrite rules to the reply to RCPT."""
    from jobctl.mail.address import parse_path
    from jobctl.routing.router import NoRoute, Router

    args, settings = context.args, context.settings
    if args.source_channel not in settings.channels:
        raise unknown_channel(args.source_channel, settings.channels)
    try:
        address = parse_path(args.address, False)
        sender = parse_path(f"<{args.sender.strip('<>')}>", True)
    except ValueError as why:
        raise bad_address(args.address, why) from None
    steps = _Steps(context)
    try:
        route = Router(settings).route(address, args.source_channel)
    except NoRoute as why:
        steps.tell(f"{address} goes nowhere: {why}")
        return steps.end(exits.NO_HOST)
    channel = settings.channels[route.channel]
    steps.tell(
        f"{address} goes to channel {route.channel} by rule {route.rule.pattern} (line {route.rule.line})"
    )
    if not _by_smtp(channel):
        how = (
            f"transport {channel.transport}"
            if channel.transport
            else " ".join(channel.master_command) or "nothing"
        )
        steps.tell(f"delivered by {how}: that cannot be looked into from here")
        return steps.end(exits.OK)
    host = channel.gateway or route.host or route.address.rpartition("@")[2]
    found = _tell_policy(steps, settings, channel, host)
    status = _through_hops(
        steps, channel, found, host, lambda probe: _recipient(probe, steps, channel, sender, route.address)
    )
    return steps.end(status)


def _recipient(probe: Probe, steps: _Steps, channel: ChannelSettings, sender: str, recipient: str) -> int:
    """Say what the client would say, up to RCPT."""
    from jobctl.mail.disposition import Verdict
    from jobctl.mail.envelope import Envelope, Recipient
    from jobctl.smtp.client_states import Step
    from jobctl.smtp.client_transaction import Transaction
    from jobctl.smtp.client_verdicts import refused

    utf8 = not (sender + recipient).isascii()
    envelope = Envelope(sender, (Recipient(recipient),), smtputf8=utf8)
    transaction = Transaction("", envelope, 0, first=True)
    if unasked := probe.refused_before(transaction):
        steps.tell(f"it would be returned: {unasked.reply} ({unasked.status})")
        return exits.UNAVAILABLE
    for line, step, _ in transaction.to_send:
        if step not in (Step.MAIL, Step.RCPT):
            break
        said = probe.ask(line.decode().rstrip())
        if said.code >= 400 and said.code != 421:
            verdict = refused(recipient, step, said, channel.options.permanent_552).verdict
            permanent = verdict is Verdict.FAILED
            steps.tell("it would be returned" if permanent else "it would be deferred")
            return exits.UNAVAILABLE if permanent else exits.TEMPORARY
        if said.code >= 300:
            steps.tell("it would be deferred")
            return exits.TEMPORARY
    steps.tell("it would be taken")
    return exits.OK


def tls(context: Context) -> int:
    """The handshake, and what it is worth."""
    import msgspec

    from jobctl.routing.router import NoRoute, Router

    args, settings = context.args, context.settings
    steps = _Steps(context)
    if args.channel is not None:
        if args.channel not in settings.channels:
            raise unknown_channel(args.channel, settings.channels)
        channel = settings.channels[args.channel]
    else:
        try:
            channel = settings.channels[Router(settings).route(f"postmaster@{args.destination}", "l").channel]
        except NoRoute as why:
            raise UsageError(
                f"{args.destination} goes nowhere: {why}; give --channel", exits.NO_HOST
            ) from None
    if not _by_smtp(channel):
        raise UsageError(f"channel {channel.name} connects to nobody by SMTP; give another with --channel")
    host = channel.gateway or args.destination
    found = _tell_policy(steps, settings, channel, host)
    # Looked at under may: what the others would say of it is told, and nothing is given up early.
    anonymous = msgspec.structs.replace(channel, auth_username=None)
    open_minded = msgspec.structs.replace(found, policy="must" if channel.implicit_tls else "may")
    return steps.end(
        _through_hops(steps, anonymous, open_minded, host, lambda probe: _worth(probe, steps, found.policy))
    )


def _tell_policy(steps: _Steps, settings: Settings, channel: ChannelSettings, host: str) -> Towards:
    """What counts towards a destination, and who says so."""
    from jobctl.config.places import of_tls_policy
    from jobctl.config.towards import towards

    found = towards(channel, host)
    place = of_tls_policy(settings, channel, found)
    steps.tell(f"channel {channel.name}, tls_policy {found.policy} towards {host}, by {place.text}")
    return found


def _worth(probe: Probe, steps: _Steps, policy: str) -> int:
    session = probe.tls
    if session is None:
        offered = (
            "STARTTLS was refused" if "STARTTLS" in probe.dialogue.extensions else "no STARTTLS is offered"
        )
        steps.tell(f"no TLS ({offered}): none and may would send in the clear, must and verify would wait")
        return exits.OK if policy in ("none", "may") else exits.TEMPORARY
    certificate = session.connection.get_peer_certificate(as_cryptography=True)
    if certificate is not None:
        for line in _describe(certificate):
            steps.tell(line)
    if probe.problem:
        steps.tell(f"may and must would send; verify would wait: {probe.problem}")
    else:
        steps.tell("every policy would send")
    return exits.TEMPORARY if probe.problem and policy == "verify" else exits.OK


def _describe(certificate: x509.Certificate) -> list[str]:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [str(name.value) for name in found]
    except x509.ExtensionNotFound:
        names = []
    return [
        f"certificate of {certificate.subject.rfc4514_string()}, for {', '.join(names) or '(no names)'}",
        f"issued by {certificate.issuer.rfc4514_string()}",
        f"valid from {certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}",
    ]


def _by_smtp(channel: ChannelSettings) -> bool:
    return channel.maildir is None and bool(channel.master_command) and channel.transport in (None, "tcp")


def _through_hops(steps: _Steps, channel: ChannelSettings, security: Towards, host: str, act: Any) -> int:
    """Try the next hops in their order until one has something to say."""
    from jobctl.net.probe import ProbeFailed

    hops = _hops(steps, channel, host)
    if isinstance(hops, int):
        return hops
    for hop in hops:
        try:
            probe = _probe(steps, channel, security, hop)
        except ProbeFailed as why:
            steps.tell(str(why))
            if why.permanent:
                steps.tell("mail would be returned")
                return exits.UNAVAILABLE
            continue
        try:
            status: int = act(probe)
            return status
        except ProbeFailed as why:
            steps.tell(str(why))
        finally:
            probe.close()
    steps.tell("no next hop would do: mail waits and is tried again")
    return exits.TEMPORARY


def _probe(steps: _Steps, channel: ChannelSettings, security: Towards, hop: NextHop) -> Probe:
    """
    A session with a next hop; under ``may`` a second one, in the clear, where the handshake of the first fails.

    :raises jobctl.net.probe.ProbeFailed: There is none.
    """
    import msgspec

    from jobctl.net.probe import HandshakeFailed, HungUp, Probe

    try:
        return Probe(channel, security, hop, steps.tell)
    except HungUp as why:
        if channel.transport is not None:  # a generic master has one connection
            raise
        steps.tell(f"{why}; once more, with HELO")
        return Probe(channel, security, hop, steps.tell, helo_only=True)
    except HandshakeFailed as why:
        if security.policy != "may":
            raise
        steps.tell(f"{why}; once more, in the clear, as tls_policy may does")
        return Probe(channel, msgspec.structs.replace(security, policy="none"), hop, steps.tell)


def _hops(steps: _Steps, channel: ChannelSettings, host: str) -> list[NextHop] | int:
    """The next hops, told; or the exit status when there are none."""
    from twisted.internet import reactor as installed
    from twisted.internet.defer import ensureDeferred

    from jobctl.net.dns_errors import DnsTrouble, NoSuchHost
    from jobctl.net.resolver import Resolver

    reactor: Any = installed
    found: list[Any] = []

    def done(result: Any) -> None:
        found.append(result)
        reactor.stop()

    resolver = Resolver(reactor, channel.nameservers)
    reactor.callWhenRunning(lambda: ensureDeferred(resolver.next_hops(host, channel)).addBoth(done))
    reactor.run()
    result = found[0]
    if isinstance(result, list):
        steps.tell(
            f"next hops of {host}: {', '.join(f'{hop.name} [{hop.address}]:{hop.port}' for hop in result)}"
        )
        return _allowed(steps, channel, result)
    if result.check(NoSuchHost) and host == channel.gateway:
        steps.tell(
            f"{result.value.text}: mail would wait, for a gateway is the configuration's mistake (4.4.4)"
        )
        return exits.TEMPORARY
    if result.check(NoSuchHost):
        steps.tell(f"{result.value.text} ({result.value.status}): mail would be returned")
        return exits.UNAVAILABLE
    if result.check(DnsTrouble):
        steps.tell(f"{result.value.text} ({result.value.status}): mail would wait")
        return exits.TEMPORARY
    result.raiseException()
    raise AssertionError


def _allowed(steps: _Steps, channel: ChannelSettings, hops: list[NextHop]) -> list[NextHop] | int:
    """What IP_ACCESS leaves of them; or the exit status when that is nothing."""
    from jobctl.net.ip_access import HostForbidden, IpAccess

    allowed = []
    try:
        for hop in IpAccess(channel, steps.tell).in_turn(hops, 1):
            allowed.append(hop)
    except HostForbidden as why:
        if not allowed:
            steps.tell(f"{why.text} ({why.status}): mail would be returned")
            return exits.UNAVAILABLE
    if hops and not allowed:
        steps.tell("IP_ACCESS allows none of these addresses: mail would wait")
        return exits.TEMPORARY
    return allowed
