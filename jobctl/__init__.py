"""
jobctl: a queueing mail transport.

The Job Controller (``twistd jobctl``) holds a durable queue per channel and
starts, feeds, limits and supervises the programs that move mail in and out.
"""

__version__ = "0.1.0"
