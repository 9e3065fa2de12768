"""Writes 3 MiB to stderr before it says hello, then works; the last line is recognisable."""

import os

import wire

line = b"x" * 79 + b"\n"
for _ in range(3 * 1024 * 1024 // (80 * 1024)):
    os.write(2, line * 1024)
wire.hello()
wire.say("ask", n=1)
frame, _ = wire.hear()
wire.deliver(frame["id"])
wire.hear()
