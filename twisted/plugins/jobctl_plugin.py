"""Makes ``twistd jobctl`` known to Twisted; it must cost ``twistd`` next to nothing to import."""

from twisted.application.service import ServiceMaker

serviceMaker = ServiceMaker(
    "Job Controller",
    "jobctl.service",
    "Holds a durable mail queue per channel and runs the programs that move it.",
    "jobctl",
)
