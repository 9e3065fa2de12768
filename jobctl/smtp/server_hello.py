"""How a client begins: HELO, EHLO, LHLO and STARTTLS."""

import re

from jobctl.mail.reply import Reply
from jobctl.smtp import replies
from jobctl.smtp.extensions import XCLIENT_ATTRIBUTES
from jobctl.smtp.greeting import application_info, banner, ehlo_reply, hello_verbs, helo_reply, legal_helo
from jobctl.smtp.questions import Hello, Proxied, Question, StartTls
from jobctl.smtp.server_talk import Talk
from jobctl.smtp.server_transaction import Transaction

_ESCAPED = re.compile(r"\+([0-9A-Fa-f]{2})")
_UNKNOWN = ("[UNAVAILABLE]", "[TEMPUNAVAIL]")


def hello(talk: Talk, verb: str, argument: str) -> Question | None:
    """:param verb: ``HELO``, ``EHLO`` or ``LHLO``."""
    if verb not in hello_verbs(talk.config):
        talk.bad(verb, unknown(verb))
        return None
    name = argument.strip()
    if not legal_helo(name):
        talk.bad(argument, replies.NEED_NAME)
        return None
    refused = talk.limits.helo(name)
    if refused is not None:
        talk.bad(argument, refused)
        return None
    said = Hello(name, esmtp=verb != "HELO")
    if "hello" in talk.config.asks:
        return talk.ask(said, lambda reply: _greeted(talk, said, reply))
    _greeted(talk, said, replies.OK)
    return None


def _greeted(talk: Talk, said: Hello, reply: Reply) -> None:
    if reply.code >= 300:
        talk.refuse("", reply)
        return
    talk.transaction = Transaction()
    talk.state = talk.after
    talk.helo, talk.esmtp = said.name, said.esmtp
    talk.application = application_info(talk.application, said.name, talk.tls)
    if said.esmtp:
        talk.say(ehlo_reply(talk.config, talk.standing))
    else:
        talk.say(helo_reply(talk.config, talk.client))


def starttls(talk: Talk, argument: str) -> Question | None:
    """RFC 3207 section 4; whoever owns the dialogue makes the handshake and calls ``secured``."""
    if talk.tls or talk.config.tls == "none" or not talk.esmtp:
        talk.bad("STARTTLS", replies.TLS_ACTIVE if talk.tls else replies.NO_TLS_HERE)
        return None
    if argument:
        talk.bad(f"STARTTLS {argument}", replies.NO_ARGUMENT)
        return None
    talk.say(replies.START_TLS)
    talk.state = talk.after
    # What a client sends with the command was sent in the clear, by whomever (CVE-2011-0411).
    talk.lines.rest()
    return StartTls()


def xclient(talk: Talk, argument: str) -> Question | None:
    """XCLIENT (Postfix): what is said of the client counts from here on, and the session begins again."""
    if not talk.config.xclient:
        talk.bad("XCLIENT", replies.NO_XCLIENT)
        return None
    attributes: dict[str, str] = {}
    for word in argument.split():
        name, equals, value = word.partition("=")
        name = name.upper()
        text = _decoded(value)
        if not equals or name not in XCLIENT_ATTRIBUTES or text is None or name in attributes:
            talk.bad(f"XCLIENT {argument}", replies.XCLIENT_SYNTAX)
            return None
        attributes[name] = text
    if not attributes:
        talk.bad("XCLIENT", replies.XCLIENT_SYNTAX)
        return None
    said = Proxied({name: text for name, text in attributes.items() if text not in _UNKNOWN})
    return talk.ask(said, lambda reply: _proxied(talk, argument, said, reply))


def _proxied(talk: Talk, argument: str, said: Proxied, reply: Reply) -> None:
    if reply.code == 501:
        talk.bad(f"XCLIENT {argument}", reply)
        return
    if reply.code >= 300:
        # The client that was named may not connect: no mail of it was refused.
        talk.say(reply)
        return
    talk.client = said.attributes.get("ADDR", "").removeprefix("IPV6:") or talk.client
    talk.transaction = Transaction()
    talk.state = talk.after
    talk.helo, talk.esmtp = "", False
    talk.user = said.attributes.get("LOGIN")
    talk.say(banner(talk.config))


def _decoded(value: str) -> str | None:
    """Xtext; ``None`` for what would hide a control character or is none."""
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value)
    return text if text.isprintable() and text else None


def unknown(verb: str) -> Reply:
    """The reply to a command that does not exist here."""
    return Reply(500, f'5.5.1 Unknown command "{verb[:32]}" specified')
