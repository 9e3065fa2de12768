"""Makes ``twistd jobctl`` known to Twisted; it must cost ``twistd`` next to nothing to import."""

from typing import Any

from twisted.application.service import ServiceMaker


class JobctlMaker(ServiceMaker):
    """As any, but that a SIGHUP does not end it while the rest is being imported."""

    @property
    def options(self) -> Any:
        """Asked for when ``twistd`` has found that it is us whom it is to run."""
        from jobctl.net import hang_up

        hang_up.remember()
        from jobctl.service import Options

        return Options


serviceMaker = JobctlMaker(
    "Job Controller",
    "jobctl.service",
    "Holds a durable mail queue per channel and runs the programs that move it.",
    "jobctl",
)
