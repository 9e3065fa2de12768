"""Submits each frame that it is told after hello, and ends with the first plain "stop"."""

import json

import wire

wire.hello()
wire.say("submit", b"ready", id="0", envelope={"sender": "", "recipients": [{"address": "a@b.example"}]})
number = 0
while (heard := wire.hear()) is not None:
    number += 1
    wire.say("submit", json.dumps(heard[0]).encode(), id=str(number))
    if heard[0] == {"op": "stop"}:
        break
