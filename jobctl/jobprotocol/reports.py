"""Reports that fit into a frame, however talkative a peer is."""

import msgspec

from jobctl.jobprotocol.frames import MAX_LINE, MAX_REPLY, Report

# All replies of one report together: half of what a line may have, the rest is for addresses and escapes.
_ALL_REPLIES = MAX_LINE // 8


def bounded(report: Report) -> Report:
    """
    The same report, with a peer's words cut where they would break the protocol's limits.

    Without this a peer could have a job ended, again and again, by what it says to one recipient of many.
    """
    if len(report.reply) > MAX_REPLY:
        report.reply = report.reply[:MAX_REPLY]
    if report.results:
        most = min(MAX_REPLY, _ALL_REPLIES // len(report.results))
        if any(len(one.reply) > most for one in report.results):
            report.results = tuple(
                msgspec.structs.replace(one, reply=one.reply[:most]) for one in report.results
            )
    return report
