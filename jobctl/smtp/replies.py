"""The server's own replies, and how a reply is written on the wire (RFC 5321 section 4.2)."""

import re

from jobctl.mail.reply import Reply

# Nothing inside a reply can begin a line of its own: texts come from addresses, programs and other hosts.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]+")
# RFC 5321 section 4.5.3.1.5 allows 512 octets with code and CRLF.
_MAX_TEXT = 500
_MAX_LINES = 100


def encode(reply: Reply) -> bytes:
    """
    A reply as octets, one line for each line of its text.

    An enhanced code begins every line (RFC 2034 section 4). Control characters become blanks, lines
    are cut at 500 octets, other than ASCII is written as UTF-8.
    """
    text = reply.text
    if "\n" not in text and text.isprintable() and len(text) < 120:
        return f"{reply.code} {text}\r\n".encode()
    lines = _CONTROL.sub(" ", text.strip("\r\n").replace("\r\n", "\n")).split("\n")[:_MAX_LINES]
    status = reply.enhanced
    if status is not None:
        lines[1:] = [line if line.startswith(f"{status} ") else f"{status} {line}" for line in lines[1:]]
    last = len(lines) - 1
    return b"".join(
        f"{reply.code}{' ' if at == last else '-'}".encode() + _cut(line) + b"\r\n"
        for at, line in enumerate(lines)
    )


def _cut(line: str) -> bytes:
    return line.encode("utf-8", "replace")[:_MAX_TEXT].decode("utf-8", "ignore").encode()


SENDER_OK = Reply(250, "2.5.0 Address Ok.")
OK = Reply(250, "2.5.0 Ok.")
GO_AHEAD = Reply(354, 'Enter mail, end with a single ".".')
BYE = Reply(221, "2.3.0 Bye received. Goodbye.")
OUT_OF_ORDER = Reply(503, "5.5.1 Command is out of order.")
NEED_HELLO = Reply(503, "5.5.1 Say EHLO or HELO first.")
NESTED_MAIL = Reply(503, "5.5.1 A transaction is already open; RSET ends it.")
NEED_MAIL = Reply(503, "5.5.1 Need MAIL command first.")
NO_RECIPIENTS = Reply(503, "5.5.1 No valid recipients.")
MIXED = Reply(503, "5.5.1 BDAT has begun this message; BDAT LAST ends it.")
BDAT_SYNTAX = Reply(421, "4.5.2 Syntax: BDAT size [LAST]; disconnecting.")
START_TLS = Reply(220, "2.5.0 Go ahead with TLS negotiation.")
TLS_ACTIVE = Reply(503, "5.5.1 TLS is active already.")
NO_TLS_HERE = Reply(502, "5.5.1 STARTTLS is not offered here.")
NEED_TLS = Reply(530, "5.7.0 Must issue a STARTTLS command first.")
NEED_AUTH = Reply(530, "5.7.0 No AUTH command has been given.")
NO_AUTH_HERE = Reply(502, "5.5.1 AUTH is not offered here.")
AUTH_TWICE = Reply(503, "5.5.1 Authenticated already.")
AUTH_MECHANISM = Reply(504, "5.5.4 Unrecognized authentication mechanism.")
AUTH_NEEDS_TLS = Reply(538, "5.7.11 Encryption required for this authentication mechanism.")
AUTH_SYNTAX = Reply(501, "5.5.2 Cannot decode this response.")
AUTH_CANCELLED = Reply(501, "5.7.0 Authentication cancelled.")
AUTH_FAILED = Reply(535, "5.7.8 Bad username or password.")
TOKEN_FAILED = Reply(535, "5.7.8 The token is not valid here.")
AUTH_TOO_OFTEN = Reply(421, "4.7.0 Too many failed authentications; disconnecting.")
AUTH_LATER = Reply(454, "4.7.0 Temporary authentication failure.")
TOO_SOON = Reply(555, "5.5.4 BY with R takes at least the seconds that DELIVERBY names.")
HELD_TOO_LONG = Reply(554, "5.7.1 That is longer than messages are kept here.")
NO_XCLIENT = Reply(550, "5.7.0 XCLIENT is not for you.")
XCLIENT_SYNTAX = Reply(501, "5.5.4 Syntax: XCLIENT attribute=value ...")
NEED_NAME = Reply(501, "5.5.4 Say who you are: a name without blanks.")
NO_ARGUMENT = Reply(501, "5.5.4 No argument allowed.")
NEED_ARGUMENT = Reply(501, "5.5.4 Argument required.")
MAIL_SYNTAX = Reply(501, "5.5.4 Syntax: MAIL FROM:<address> [parameters]")
RCPT_SYNTAX = Reply(501, "5.5.4 Syntax: RCPT TO:<address> [parameters]")
NOT_ASCII = Reply(553, "5.6.7 Addresses other than ASCII are not supported here.")
NOT_ASCII_YET = Reply(553, "5.6.7 Addresses other than ASCII are UTF-8, and need SMTPUTF8 with MAIL.")
LINE_TOO_LONG = Reply(500, "5.5.2 Line too long.")
BAD_LINE_END = Reply(500, "5.5.2 Lines must end with CRLF, and have CR and LF nowhere else.")
BAD_CHARACTER = Reply(500, "5.5.2 Control character in command.")
NOT_ASCII_COMMAND = Reply(500, "5.5.2 Commands are ASCII.")
TOO_BIG = Reply(552, "5.3.4 Message size exceeds fixed limit.")
BAD_CONTENT_LINE_END = Reply(550, "5.6.0 Bare CR or LF in message; lines must end with CRLF.")
LONG_LINES = Reply(550, "5.6.0 lines longer than SMTP allows encountered; message rejected")
UNDECLARED_8BIT = Reply(550, "5.6.1 8-bit content without BODY=8BITMIME.")
SESSION_OVER = Reply(421, "4.4.2 Session time limit reached; disconnecting")
COMMAND_TIMEOUT = Reply(421, "4.4.2 Timeout while waiting for command.")
DATA_TIMEOUT = Reply(421, "4.4.2 Timeout while waiting for message data.")
STOPPING = Reply(421, "4.3.2 Service is stopping; try again later.")
TOO_MANY_BAD = Reply(421, "4.7.0 Too many bad commands; disconnecting.")
NOT_IMPLEMENTED = Reply(502, "5.5.1 Command not implemented.")
SEND_DISABLED = Reply(550, "5.7.2 SEND/SAML/SOML commands have been disabled.")
EXPN_DISABLED = Reply(550, "5.7.2 EXPN command has been disabled")
ETRN_DISABLED = Reply(502, "5.5.1 ETRN command has been disabled.")
