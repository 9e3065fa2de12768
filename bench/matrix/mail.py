"""The message that everybody sends, and how what arrived is compared with it."""

BODY = (
    b"Dots:\r\n.\r\n..\r\n.leading\r\n...\r\n"
    b"Caf\xc3\xa9 and \xe4\xf6\xfc in octets above 127\r\n"
    b"trailing blanks   \r\n\ttab\r\n\r\n\r\n"
    + b"x" * 900
    + b"\r\nFrom the beginning of a line\r\n.\r\nQUIT\r\nlast line\r\n"
)


def content(mark: str) -> bytes:
    """A message that can be told from all others by ``mark``."""
    return (
        b"From: ann@example.org\r\nTo: bob@mail.example.org\r\nSubject: %b\r\n"
        b"Date: Mon, 05 Jan 2026 10:00:00 +0000\r\nMessage-ID: <%b@example.org>\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    ) % (mark.encode(), mark.encode()) + BODY


def difference(mark: str, arrived: bytes, only_body: bool = False, added: bytes = b"") -> str:
    """
    ``""`` where the message arrived octet for octet, else what is different.

    Those on the way put trace fields in front, which is theirs to do; mailboxes with LF for CRLF are as good.

    :param only_body: The client makes the header itself.
    :param added: The client puts this behind every content.
    """
    sent = content(mark) + added
    if b"\r\n" not in arrived:
        arrived = arrived.replace(b"\n", b"\r\n")
    if only_body:
        sent = sent.partition(b"\r\n\r\n")[2]
        arrived = arrived.partition(b"\r\n\r\n")[2]
        if arrived == sent:
            return ""
    elif arrived.endswith(sent) and _only_trace(arrived[: -len(sent)]):
        return ""
    at = next((n for n, (a, b) in enumerate(zip(sent[::-1], arrived[::-1], strict=False)) if a != b), 0)
    return f"differs {at} octets before its end: {arrived[-at - 30 :][:40]!r}"


def _only_trace(fields: bytes) -> bool:
    trace = (
        b"received:",
        b"return-path:",
        b"delivered-to:",
        b"x-original-to:",
        b"envelope-to:",
        b"delivery-date:",
    )
    return all(line[:1] in b" \t" or line.lower().startswith(trace) for line in fields.split(b"\r\n") if line)
