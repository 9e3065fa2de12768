"""After a crash of the controller: which messages may have been delivered without our knowing."""

import os
from typing import Any

from twisted.logger import Logger

from jobctl.jobs.journal import leftovers
from jobctl.mail.entry import Attempt, Settlement

log = Logger()


async def after_a_crash(controller: Any, directory: str) -> int:
    """
    Mark entries whose final dot had been announced when we were last interrupted, and say how many.

    They are tried again: a possible duplicate is better than a loss.

    :param directory: Where jobs' journals are.
    :return: Messages that may be delivered twice.
    """
    suspects = 0
    for path, announced in leftovers(directory).items():
        # Of several attempts of one job only the last can be without a verdict.
        attempts = dict(sorted(announced))
        for stored in await controller.store.fetch(list(attempts)):
            # A later attempt than the announced one was begun: that announcement had its verdict.
            if stored.entry.attempts + 1 > attempts[stored.entry.id]:
                continue
            suspects += 1
            text = f"451 4.3.0 the controller was interrupted; job {os.path.basename(path)} may have delivered it"
            now = controller.reactor.seconds()
            job = os.path.basename(path)
            settlement = Settlement(
                id=stored.entry.id,
                suspect=stored.suspect + 1,
                last_reply=text,
                history=(Attempt(when=now, what="interrupted", text=text, job=job),),
                job=job,
            )
            await controller.store.settle(settlement)
            controller.books.settled(stored, settlement)
        os.unlink(path)
    if suspects:
        log.warn(
            "{count} messages may be delivered twice: their final dot had gone out without a verdict",
            count=suspects,
        )
    controller.attempts.suspects += suspects
    return suspects
