"""The job protocol in the fewest lines, for the programs beside this file."""

import json
import os

work = os.fdopen(3, "rb", 1 << 18)


def say(op, content=b"", **keys):
    """One frame to the controller."""
    if content:
        keys["size"] = len(content)
    data = json.dumps({"op": op, **keys}).encode() + b"\n" + content
    while data:
        data = data[os.write(4, data) :]


def hear():
    """One frame from the controller as (dict, content); None at the end."""
    line = work.readline()
    if not line:
        return None
    frame = json.loads(line)
    return frame, work.read(frame.get("size", 0))


def hello(**keys):
    """Both hellos; returns the controller's."""
    say("hello", version=1, name="test", **keys)
    return hear()[0]


def deliver(id, **keys):
    """All recipients of a message have it."""
    say("report", id=id, verdict="delivered", status="2.0.0", reply="250 ok", **keys)
