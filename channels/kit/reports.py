"""What is reported of a message that was tried."""

from jobctl.jobprotocol.frames import Report
from jobctl.mail.disposition import Disposition


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
