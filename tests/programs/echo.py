"""Delivers whatever it is given; the reply tells the octets and their checksum."""

import sys
import zlib

import wire

window = int(sys.argv[1]) if len(sys.argv) > 1 else 0
wire.hello(window=window)
wire.say("ask", n=100)
sums = {}
while (heard := wire.hear()) is not None:
    frame, content = heard
    if frame["op"] == "stop":
        break
    if frame["op"] != "message":
        continue
    id = frame["id"]
    octets, crc = sums.pop(id, (0, 0))
    octets, crc = octets + len(content), zlib.crc32(content, crc)
    if frame.get("more"):
        sums[id] = octets, crc
        if window:
            wire.say("ask", n=1, id=id)
        continue
    wire.say("report", id=id, verdict="delivered", status="2.0.0", reply=f"250 {octets} {crc}")
