"""Takes messages, settles the first recipient of the first, announces its dot, and dies by its own hand."""

import os
import signal
import sys

import wire

wire.hello()
wire.say("ask", n=2)
frame, _ = wire.hear()
first = frame["envelope"]["recipients"][0]["address"]
verdict = {"recipient": first, "verdict": "delivered", "status": "2.1.5", "reply": "250 ok"}
wire.say("report", id=frame["id"], results=[verdict])
if len(sys.argv) > 1 and sys.argv[1] == "journal":
    os.write(int(os.environ["JOBCTL_SENT_FD"]), f"{frame['id']} {frame['attempt']}\n".encode())
else:
    wire.say("sent", id=frame["id"])
print("now I die", file=sys.stderr, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
