"""The texts of notifications: read from the package and from the operator's directory."""

import os
from collections.abc import Iterable
from functools import cache

from twisted.logger import Logger

import jobctl.notification
from jobctl.notification.language import nearest
from jobctl.notification.texts import FILES, LABELS, TextFault, Texts, parse_labels, parse_template

log = Logger()

BUILT_IN = os.path.join(os.path.dirname(jobctl.notification.__file__), "texts")
ENGLISH = "en"


class TextLibrary:
    """
    All texts, read once.

    A language is a folder named after its tag.  What an operator's folder has replaces the built-in
    text of that name; what it has not, or cannot be used, stays built in, and what a language lacks
    is English: no notification fails for want of words.

    :ivar faults: What cannot be used, each with its path.
    """

    def __init__(self, directory: str | None = None) -> None:
        self.faults: list[str] = []
        self._built_in = _built_in()
        self._own: dict[str, Texts] = {}
        if directory is not None:
            self._own = {
                name.lower(): _read(directory, name, self.faults) for name in self._folders(directory)
            }
        for fault in self.faults:
            log.error("{fault}; the built-in text is used instead", fault=fault)
        self.languages = {*self._built_in, *self._own}
        self.english = self._built_in[ENGLISH]
        self._complete = {language: self._completed(language) for language in self.languages}

    def of(self, language: str) -> Texts:
        """The complete texts of a language, or of the nearest there is."""
        return self._complete.get(nearest(language, self.languages), self.english)

    def built_in(self, language: str) -> Texts:
        """As :meth:`of`, without anything of the operator's."""
        found = self._built_in.get(nearest(language, set(self._built_in)))
        return self.english if found is None else found.over(self.english)

    def _completed(self, language: str) -> Texts:
        complete = self.built_in(language)
        parts = language.split("-")
        for count in range(1, len(parts) + 1):
            own = self._own.get("-".join(parts[:count]))
            if own is not None:
                complete = own.over(complete)
        return complete

    def _folders(self, directory: str) -> Iterable[str]:
        try:
            return _languages(directory)
        except OSError as why:
            self.faults.append(f"{directory}: cannot be read: {why.strerror}")
            return []


@cache
def _built_in() -> dict[str, Texts]:
    """What comes with jobctl, which does not change; a fault in it is a bug."""
    faults: list[str] = []
    found = {language: _read(BUILT_IN, language, faults) for language in _languages(BUILT_IN)}
    assert not faults, faults
    return found


def _read(directory: str, language: str, faults: list[str]) -> Texts:
    templates, labels = {}, {}
    for name in FILES:
        path = os.path.join(directory, language, name)
        try:
            with open(path, "rb") as file:
                octets = file.read()
            if name == LABELS:
                labels = parse_labels(octets)
            else:
                templates[name] = parse_template(name, octets)
        except FileNotFoundError:
            continue
        except TextFault as why:
            faults.append(f"{path}: {why}")
        except OSError as why:
            faults.append(f"{path}: cannot be read: {why.strerror}")
    return Texts(language, templates, labels)


def _languages(directory: str) -> list[str]:
    with os.scandir(directory) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
