"""
``twistd`` under coverage measurement.

twistd ends by the signal it was sent, so nothing runs at its exit: what was
measured is saved at the end of the reactor's shutdown.
"""

import coverage
from twisted.internet import reactor
from twisted.scripts.twistd import run


def save() -> None:
    """Write what was measured so far."""
    measuring = coverage.Coverage.current()
    if measuring is not None:
        measuring.stop()
        measuring.save()


reactor.addSystemEventTrigger("after", "shutdown", save)
run()
