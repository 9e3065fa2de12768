"""Ignores SIGTERM and "stop"."""

import signal
import time

import wire

signal.signal(signal.SIGTERM, signal.SIG_IGN)
wire.hello()
wire.say("ask", n=1)
while True:
    time.sleep(1000)
