"""Speaks on stdio: sends a line, copies each line it gets into an event, ends at end-of-file."""

import contextlib
import os
import sys

import wire

wire.hello()
wire.say(
    "event",
    event="opened",
    transport=os.environ.get("TRANSPORTINFO", ""),
    application=os.environ["APPLICATIONINFO"],
)
mode = sys.argv[1] if len(sys.argv) > 1 else ""
with contextlib.suppress(BrokenPipeError):
    os.write(1, b"first\r\n")
if mode == "half":
    os.close(1)
if mode == "exit":
    sys.exit(0)
data = b""
while piece := os.read(0, 65536):
    data += piece
wire.say("event", event="closed", text=data.decode())
if mode == "late":
    os.write(1, b"last\r\n")
