"""How a client begins: HELO, EHLO, LHLO and STARTTLS."""

from jobctl.mail.reply import Reply
from jobctl.smtp import replies
from jobctl.smtp.greeting import application_info, ehlo_reply, hello_verbs, helo_reply, legal_helo
from jobctl.smtp.questions import Hello, Question, StartTls
from jobctl.smtp.server_talk import Talk
from jobctl.smtp.server_transaction import Transaction


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
        talk.say(ehlo_reply(talk.config, talk.tls, talk.user is not None))
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


def unknown(verb: str) -> Reply:
    """The reply to a command that does not exist here."""
    return Reply(500, f'5.5.1 Unknown command "{verb[:32]}" specified')
