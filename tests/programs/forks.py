"""Leaves a grandchild behind that holds every descriptor; with "escape" also outside of the session."""

import os
import sys
import time

import wire

wire.hello()
if os.fork() == 0:
    if "escape" in sys.argv:
        os.setsid()
    if os.fork() == 0:
        wire.say("event", event="opened", text=str(os.getpid()))
        while True:
            time.sleep(1000)
    os._exit(0)
os.wait()
wire.say("ask", n=1)
wire.hear()
os._exit(3)
