"""Takes a message, closes its job pipes and stays."""

import os
import time

import wire

wire.hello()
wire.say("ask", n=1)
wire.hear()
os.close(4)
while True:
    time.sleep(1000)
