"""
The exit statuses of the commands (sysexits.h), each with one meaning.

Whatever passes by itself is 75 and nothing else is: programs that hand over
mail give up on every other one.
"""

import os

OK = os.EX_OK
USAGE = os.EX_USAGE  # 64: the command was used wrongly
DATA = os.EX_DATAERR  # 65: a bad address, or a message that will never do
NO_INPUT = os.EX_NOINPUT  # 66: no such file, or no such message in the queue
NO_USER = os.EX_NOUSER  # 67: nobody has this address
NO_HOST = os.EX_NOHOST  # 68: mail for this domain goes nowhere
UNAVAILABLE = os.EX_UNAVAILABLE  # 69: no daemon runs; `run`: something failed for ever
SOFTWARE = os.EX_SOFTWARE  # 70: a bug of ours; `ledger`, `cache sync`: what must agree does not
IO = os.EX_IOERR  # 74: a file could not be read or written
TEMPORARY = os.EX_TEMPFAIL  # 75: try again later; `run`: something was deferred
PROTOCOL = os.EX_PROTOCOL  # 76: what answers at the control socket is something else
NO_PERMISSION = os.EX_NOPERM  # 77: this user may not
CONFIG = os.EX_CONFIG  # 78: the configuration is wrong, or has no such channel
INTERRUPTED = 130  # Ctrl-C, as the shell has it

MEANINGS = {
    OK: "done",
    USAGE: "the command was used wrongly",
    DATA: "a bad address, or a message that will never do",
    NO_INPUT: "no such file, or no such message in the queue",
    NO_USER: "nobody has this address",
    NO_HOST: "mail for this domain goes nowhere",
    UNAVAILABLE: "no Job Controller runs; of run: something failed",
    SOFTWARE: "a bug in jobctl; of ledger: it does not balance; of cache synchronize: memory was wrong",
    IO: "a file could not be read or written",
    TEMPORARY: "try again later (full disk, daemon does not answer); of run: something was deferred",
    PROTOCOL: "what answers at the control socket is not a Job Controller",
    NO_PERMISSION: "this user may not do that",
    CONFIG: "the configuration is wrong, or has no such channel",
    INTERRUPTED: "interrupted by Ctrl-C",
}
