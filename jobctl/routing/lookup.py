"""The rules applied to one address, as often as they say so themselves."""

import msgspec

from jobctl.config.rewriting import channels_by_tag
from jobctl.config.settings import ChannelSettings, Rule, Settings
from jobctl.config.templates import Call, Part, Piece, Template
from jobctl.mail.address import normal_domain
from jobctl.mapping.tables import compiled
from jobctl.routing.decision import Decision, NoRoute, host_of, next_hop_of
from jobctl.routing.patterns import Match, Patterns, RuleTemplate

# A%B sends an address back into the rules; more often than this is a loop.
MAX_REWRITES = 10
_SAME_LOCAL: tuple[Part, ...] = ((), (Piece.LOCAL,))


class _State(msgspec.Struct):
    """An address on its way through the rules."""

    local: str
    host: str
    source_channel: str
    backward: bool = False
    by_domain: bool = True
    specific: bool = True
    steps: list[str] = []


class Lookup:
    """The rules and channels of one configuration."""

    def __init__(self, settings: Settings) -> None:
        self._channels = settings.channels
        self._local_host = settings.local_host
        self._tags = channels_by_tag(settings.channels)
        self._patterns = Patterns(settings.rules, _host_names(settings.channels))
        self._tables = compiled(settings.mta.mappings)

    def decide(self, local: str, domain: str, source_channel: str, backward: bool = False) -> Decision:
        """
        :param domain: As written; ``""`` is this host.
        :param backward: The question is which channel it stands for as a source; else where mail for it goes.
        :raises NoRoute: No rule applies, one refuses, or they loop.
        """
        start = normal_domain(domain or self._local_host)
        state = _State(local, start, source_channel.lower(), backward)
        if not domain:
            state.steps.append(f"no domain: {start} added")
        for _ in range(MAX_REWRITES):
            match, chosen, said = self._rule(state)
            self._rewrite(state, match, chosen.template, said)
            if chosen.template.tag:
                state.steps.append(f"{shown(chosen.rule)}: applies")
                return self._decision(state, chosen, local, domain, start)
            state.steps.append(f"{shown(chosen.rule)}: rewritten to {state.local}@{state.host}")
        raise NoRoute(f"Rewrite rules loop for host {start}", "5.4.6")

    def _rule(self, state: _State) -> tuple[Match, RuleTemplate, dict[Call, str]]:
        """The first rule that applies, of the most specific pattern that has one, and what tables said for it."""
        for match in self._patterns.matches(state.host):
            for candidate in match.rules:
                template = candidate.template
                why_not = _why_not(template, state)
                said: dict[Call, str] = {}
                if why_not is None and template.calls:
                    why_not = self._ask(template, state, match, said)
                if why_not is None:
                    return match, candidate, said
                state.steps.append(f"{shown(candidate.rule)}: {why_not}")
                if candidate.template.error is not None:
                    raise NoRoute(candidate.template.error)
        raise NoRoute(f"No route to host {state.host}")

    def _ask(self, template: Template, state: _State, match: Match, said: dict[Call, str]) -> str | None:
        """Ask the tables that a template names; the first that does not say yes is why it does not apply."""
        values = _values(state, match)
        for call in template.calls:
            if Piece.LOCAL in call.argument:
                state.by_domain = False
            text = _filled(call.argument, values, {})
            result = self._tables.probe(call.table, text)
            if not result.matched or not {"Y", "T"} & result.flags:
                return f"{call.table} does not say yes to {text}"
            said[call] = result.text
        return None

    def _rewrite(self, state: _State, match: Match, template: Template, said: dict[Call, str]) -> None:
        state.specific = state.specific and not match.catch_all
        if not template.host:
            return
        values = _values(state, match)
        if template.local not in _SAME_LOCAL or Piece.LOCAL in template.host:
            state.by_domain = False
        local, host = (
            _filled(template.local, values, said),
            normal_domain(_filled(template.host, values, said)),
        )
        if not local or not host or host.startswith("."):
            raise NoRoute(f"The rewrite rules make {local}@{host} of host {state.host}")
        state.local, state.host = local, host

    def _decision(self, state: _State, chosen: RuleTemplate, local: str, domain: str, start: str) -> Decision:
        channel = self._channels[self._tags[chosen.template.tag]]
        return Decision(
            channel=channel.name,
            group_host=host_of(channel, state.host),
            next_hop=next_hop_of(channel, state.host),
            rule=chosen.rule,
            steps=tuple(state.steps),
            unchanged=bool(domain) and state.host == start and state.local == local,
            domain=state.host,
            local=None if state.local == local else state.local,
            by_domain=state.by_domain,
            ours=state.specific
            and channel.name != state.source_channel
            and not (chosen.rule.line == 0 and _is_but_a_name(channel, state.host)),
        )


def _is_but_a_name(channel: ChannelSettings, host: str) -> bool:
    """
    Whether a channel's own name is that of no host there could be, such as ``tcp_auth-daemon``.

    Rules need it, but mail to it could only be returned.
    """
    looked_up = next_hop_of(channel, host) == host and channel.transport in (None, "tcp")
    return looked_up and ("." not in host or "_" in host)


def shown(rule: Rule) -> str:
    """A rule in words."""
    if rule.line == 0:
        return f"{rule.pattern}, a host name of channel {rule.template}"
    return f"line {rule.line}, {rule.pattern} = {rule.template}"


def _why_not(template: Template, state: _State) -> str | None:
    source_channel = state.source_channel
    if template.never:
        return "is for header addresses"
    if template.direction and (template.direction == "backward") is not state.backward:
        return "is for recipients" if state.backward else "is for the source channel of clients"
    if template.only_from and source_channel not in template.only_from:
        return f"is for mail from {' or '.join(template.only_from)}, not from {source_channel}"
    if source_channel in template.not_from:
        return f"is not for mail from {source_channel}"
    return None


def _values(state: _State, match: Match) -> dict[Piece, str]:
    return {
        Piece.LOCAL: state.local,
        Piece.MATCHED: match.matched,
        Piece.LEFT: match.left,
        Piece.REST: match.rest,
    }


def _filled(part: Part, values: dict[Piece, str], said: dict[Call, str]) -> str:
    return "".join(
        values[piece] if isinstance(piece, Piece) else said[piece] if isinstance(piece, Call) else piece
        for piece in part
    )


def _host_names(channels: dict[str, ChannelSettings]) -> dict[str, RuleTemplate]:
    """Every channel's own host names, as rules that lead to it."""
    rules: dict[str, RuleTemplate] = {}
    for name, channel in channels.items():
        for host in (channel.official_host_name, *channel.additional_host_names):
            rule = RuleTemplate(Rule(pattern=host, template=name), Template(tag=name))
            rules.setdefault(normal_domain(host), rule)
    return rules
