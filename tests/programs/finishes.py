"""Takes a message, and delivers it long after it was told to stop: at SIGUSR1; then it stays."""

import signal
import time

import wire

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
wire.hello()
wire.say("ask", n=1)
frame, _ = wire.hear()
wire.hear()
wire.say("alive")
signal.sigwait([signal.SIGUSR1])
wire.deliver(frame["id"])
while True:
    time.sleep(1000)
