"""``jobctl test notification``: what senders would be told, to be looked at."""

import email
import email.policy
import sys
import time
from typing import TYPE_CHECKING

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import printable, write, write_json
from jobctl.commands.parser import Commands, command

if TYPE_CHECKING:
    from jobctl.notification.notice import Notice

_KINDS = ("failed", "timedout", "bounced", "delayed", "delivered", "relayed", "passed")
_CONNECTION = "TCP|192.0.2.1|40001|198.51.100.1|25"
_ORIGINAL = (
    "Date: {date}\r\nFrom: Ann <ann@example.com>\r\nTo: bob@example.net\r\nSubject: Meeting\r\n"
    "Message-ID: <4711@example.com>\r\n\r\nSee you tomorrow.\r\n"
)


def register(subcommands: Commands) -> None:
    """Make it known, a part of ``jobctl test``."""
    parser = command(
        subcommands,
        "notification",
        notification,
        "show a notification in the words that are configured",
        "  jobctl test notification\n  jobctl test notification --kind delayed --language de --source",
        description="Print a sample notification. Texts that cannot be used are told "
        "on standard error, and then the exit status is 78.",
    )
    parser.add_argument(
        "--kind", choices=_KINDS, default="failed", help="what became of the message (failed)"
    )
    parser.add_argument("--language", metavar="TAG", help="de, pt-BR (default: the one configured)")
    parser.add_argument("--source", action="store_true", help="all of it, as it would be sent")
    parser.add_argument("--copy", action="store_true", help="the copy that the postmaster gets")


def notification(context: Context) -> int:
    """With the texts as they are on disk now; a running daemon reads them at a reload."""
    # Imported late: other commands do without the texts.
    from jobctl.controller.texts import ENGLISH, TextLibrary
    from jobctl.errors import UsageError
    from jobctl.notification.language import nearest
    from jobctl.notification.report import report

    settings = context.settings
    library = TextLibrary(settings.notification.directory)
    language = context.args.language or settings.notification.language
    if not nearest(language, library.languages):
        known = ", ".join(sorted(library.languages))
        raise UsageError(f"there are no texts for {language!r}; there are: {known}", exits.CONFIG)
    texts = library.of(language)
    made = report(_case(context), texts, library.built_in(ENGLISH)).content
    if context.json:
        write_json({"language": texts.language, "content": made.decode(), "faults": library.faults})
        return exits.CONFIG if library.faults else exits.OK
    for line in (made.decode() if context.args.source else _as_read(made)).splitlines():
        write(printable(line))
    for fault in library.faults:
        sys.stderr.write(f"jobctl: {printable(fault)}; the built-in text is used instead\n")
    return exits.CONFIG if library.faults else exits.OK


def _as_read(content: bytes) -> str:
    """As a mail program shows it."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    header = "\n".join(f"{name}: {message[name]}" for name in ("From", "To", "Subject"))
    text = next(part for part in message.walk() if part.get_content_type() == "text/plain")
    return f"{header}\n\n{text.get_content()}"


def _case(context: Context) -> "Notice":
    from jobctl.mail.disposition import Disposition, Verdict
    from jobctl.mail.entry import Attempt
    from jobctl.mail.envelope import Envelope, Recipient
    from jobctl.mail.trace import rfc5322_date
    from jobctl.notification.notice import Kind, Notice, Original

    mta, local_host = context.settings.mta, context.settings.local_host
    kind = Kind(context.args.kind)
    now = time.time()
    arrived = now - 4 * 86400
    postmaster = mta.postmaster or f"postmaster@{local_host}"
    reply = "550 5.1.1 No such user" if kind.failure else "452 4.2.2 Over quota"
    if kind.success:
        reply = "250 2.1.5 Ok"
    original = _ORIGINAL.format(date=rfc5322_date(arrived)).encode()
    return Notice(
        kind=kind,
        to=postmaster if context.args.copy else "ann@example.com",
        copy=context.args.copy,
        envelope=Envelope("ann@example.com", (Recipient("bob@example.net"),)),
        verdicts=(
            Disposition(
                "bob@example.net",
                Verdict.FAILED,
                reply[4:9],
                reply,
                "mx.example.net",
                "TCP|192.0.2.1|4000|198.51.100.1|25",
            ),
        ),
        original=Original(
            original,
            (
                Attempt(
                    arrived + 2, "deferred", "451 4.7.1 Greylisted", "bob@example.net", "", "mx.example.net"
                ),
            ),
        ),
        octets=len(original),
        arrived=arrived,
        now=now,
        until=now + 3 * 86400,
        local_host=local_host,
        channel_host="tcp-daemon",
        postmaster=postmaster,
        personal=mta.return_personal,
        envelope_id=f"SAMPLE@{local_host}",
        unique="SAMPLE",
    )
