"""Says the lines it is given as arguments, after a hello unless the first is "rude", then waits."""

import os
import sys

import wire

lines = sys.argv[1:]
if lines[0] == "rude":
    del lines[0]
else:
    wire.hello()
if lines and lines[0] == "take":
    del lines[0]
    wire.say("ask", n=1)
    wire.hear()
for line in lines:
    os.write(4, line.encode() + b"\n")
while wire.hear() is not None:
    pass
