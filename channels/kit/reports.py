"""What is reported of a message: that it was tried, or that there was nobody to try it with."""

from jobctl.jobprotocol.frames import Report
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.smtp.events import SessionFailed


def report(
    id: str, dispositions: tuple[Disposition, ...], scope: str, connection: bool, remote: str, transport: str
) -> Report:
    """
    The verdicts of a transaction; the usual case, one verdict for all, in its short form.

    :param remote: Who gave them; ``transport``: over what.
    """
    first = dispositions[0]
    for other in dispositions[1:]:
        if (other.verdict, other.status, other.reply) != (first.verdict, first.status, first.reply):
            return Report(
                id=id,
                results=tuple(
                    Disposition(
                        recipient=one.recipient,
                        verdict=one.verdict,
                        status=one.status,
                        reply=one.reply,
                        remote=remote,
                        transport=transport,
                        timed=one.timed,
                    )
                    for one in dispositions
                ),
                scope=scope,
                connection=connection,
            )
    return Report(
        id=id,
        verdict=first.verdict,
        status=first.status,
        reply=first.reply,
        remote=remote,
        transport=transport,
        timed=first.timed,
        scope=scope,
        connection=connection,
    )


def of_failure(id: str, failure: SessionFailed, offered: bool, remote: str, transport: str) -> Report:
    """
    What a message learns of a session that never began.

    :param offered: Another connection can be had, in the clear, if TLS did not come about and need not.
    """
    reply, scope, in_clear = failure.reply, "host", False
    if failure.permanent:
        scope = "recipient"
    elif failure.retry_in_clear and offered:
        scope, in_clear = "local", True
    elif failure.retry_in_clear:
        reply += "; tls_policy may, but there is no second connection here to send in the clear"
    return Report(
        id=id,
        verdict=Verdict.FAILED if failure.permanent else Verdict.DEFERRED,
        status=failure.status,
        reply=reply,
        remote=remote,
        transport=transport,
        scope=scope,
        connection=False,
        # At once: whoever takes it next has the other connection.
        retry=0.0 if in_clear else None,
        in_clear=in_clear,
    )
