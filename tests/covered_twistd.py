"""
``twistd`` under coverage measurement.

twistd ends by the signal it was sent, so nothing runs at its exit: what was
measured is saved at the end of the reactor's shutdown.
"""

import sys

from twisted.internet import reactor
from twisted.scripts.twistd import run


def save() -> None:
    """Write what was measured so far, if anything was."""
    coverage = sys.modules.get("coverage")
    measuring = coverage and coverage.Coverage.current()
    if measuring:
        measuring.stop()
        measuring.save()


reactor.addSystemEventTrigger("after", "shutdown", save)
run()
