"""Takes a message and says nothing more."""

import time

import wire

wire.hello()
wire.say("ask", n=1)
wire.hear()
while True:
    time.sleep(1000)
