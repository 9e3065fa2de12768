"""Writes 10 MiB of frames before it reads anything."""

import wire

wire.say("hello", version=1, name="test")
for number in range(40):
    wire.say("submit", b"z" * 262144, id="1", more=number < 39)
wire.say("ask", n=1)
while wire.hear() is not None:
    pass
