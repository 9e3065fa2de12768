"""Numbers of things in words that people read."""


def counted(count: int, what: str) -> str:
    """``1 job``, ``2 jobs``; ``what`` is one of them, of those that take an s."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
