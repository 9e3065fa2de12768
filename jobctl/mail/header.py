"""The header section of a message."""


def header_of(content: bytes) -> bytes:
    """The header section with its last line end, or everything when no blank line ends it."""
    if content.startswith(b"\r\n"):
        return b""
    end = content.find(b"\r\n\r\n")
    return content if end < 0 else content[: end + 2]
