"""Leaves a daemon behind: another session, no descriptor of ours, and with "clean" another environment."""

import os
import sys

import wire

wire.hello()
told, tell = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        # A daemon that has one of its own, which has left it, too.
        child = os.fork()
        if child == 0:
            os.setsid()
        else:
            os.write(tell, f"{os.getpid()} {child}\n".encode())
        os.closerange(0, 100)
        environment = {} if "clean" in sys.argv else dict(os.environ)
        os.execve("/bin/sleep", ["sleep", "1000"], environment)
    os._exit(0)
os.wait()
os.close(tell)
wire.say("event", event="opened", text=os.read(told, 100).decode())
wire.say("ask", n=1)
while wire.hear()[0]["op"] != "stop":
    pass
