"""Delivers one message, then says garbage in the same breath."""

import os

import wire

wire.hello()
wire.say("ask", n=2)
frame, _ = wire.hear()
report = b'{"op":"report","id":"%s","verdict":"delivered","status":"2.0.0"}\n' % frame["id"].encode()
os.write(4, report + b"220 mail.example.org ready\r\n")
wire.hear()
wire.hear()
