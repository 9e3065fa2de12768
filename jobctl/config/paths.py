"""Paths in the configuration are as seen from the file they stand in."""

import posixpath


def absolute(directory: str, path: str) -> str:
    """``path`` as seen from ``directory``, without ``..`` and doubled slashes."""
    return posixpath.normpath(posixpath.join(directory, path))


def absolute_listen(directory: str, text: str) -> str:
    """An endpoint string with its path, if it has one, made absolute."""
    if not text.startswith("unix:"):
        return text
    form, rest = text.split(":", 1)
    name, equals, path = rest.partition("address=") if rest.startswith("address=") else ("", "", rest)
    escaped = directory.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")
    return f"{form}:{name}{equals}{posixpath.join(escaped, path)}"
