"""The words of notifications in one language: templates and labels that an operator can replace."""

import re
from collections.abc import Mapping

import msgspec

from jobctl.notification.notice import Kind

# The file of each kind's text, under the names that the original has.
KIND_FILE = {
    Kind.FAILED: "return_failed.txt",
    Kind.TIMEDOUT: "return_timedout.txt",
    Kind.BOUNCED: "return_bounced.txt",
    Kind.DELAYED: "return_delayed.txt",
    Kind.DELIVERED: "return_delivered.txt",
    Kind.RELAYED: "return_forwarded.txt",
    Kind.PASSED: "return_passed.txt",
}
PREFIX, SUFFIX = "return_prefix.txt", "return_suffix.txt"
# In front of a copy for the postmaster: the sender has got the report, or nobody has.
COPY, UNSENT = "return_copy.txt", "return_unsent.txt"
LABELS = "return_option.opt"
FILES = (PREFIX, SUFFIX, COPY, UNSENT, *KIND_FILE.values(), LABELS)

_SEQUENCE = re.compile(r"%([A-Za-z%])")
_LABEL = re.compile(r"(?:[A-Z][A-Z_]*|[X245]\.[0-9]{1,3}(?:\.[0-9]{1,3})?)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class TextFault(ValueError):
    """A file of texts cannot be used; the words say why."""


class Texts(msgspec.Struct, frozen=True):
    """
    :ivar language: A tag such as ``de`` or ``pt-BR``.
    :ivar templates: By file name, with LF line ends.
    :ivar labels: By name; reasons by status (``5.1.1``, ``X.1.1``, ``X.1``).
    """

    language: str
    templates: dict[str, str] = {}
    labels: dict[str, str] = {}

    def over(self, base: "Texts") -> "Texts":
        """These, completed with what ``base`` has more."""
        return Texts(self.language, {**base.templates, **self.templates}, {**base.labels, **self.labels})

    def label(self, name: str) -> str:
        """A word or a short text; its own name where there is none."""
        return self.labels.get(name, name)

    def reason(self, status: str) -> str:
        """What an RFC 3463 status means, as far as it is known; ``""`` when it is not."""
        if not status:
            return ""
        detail = f"X{status[1:]}"
        for key in (status, detail, detail.rpartition(".")[0]):
            if key in self.labels:
                return self.labels[key]
        return ""

    def filled(self, name: str, values: Mapping[str, str]) -> str:
        """
        A template with its sequences replaced; one that is not known is left as it stands.

        :param values: By letter: what stands for ``%H``, ``%R``.
        """
        text = self.templates.get(name, "")
        return _SEQUENCE.sub(lambda found: "%" if found[1] == "%" else values.get(found[1], found[0]), text)

    def age(self, seconds: float) -> str:
        """``3 days``, ``1 minute``, ``8 seconds``: in the largest unit of which there are two, rounded down."""
        # What is due at an age may be looked at a rounding error before.
        whole = int(seconds + 1)
        if whole < 60:
            return f"{max(round(seconds), 2)} {self.label('SECONDS')}"
        for name, size in (("DAYS", 86400), ("HOURS", 3600), ("MINUTES", 60)):
            if whole >= 2 * size:
                return f"{whole // size} {self.label(name)}"
        return f"1 {self.label('MINUTE')}"


def parse_template(name: str, octets: bytes) -> str:
    """
    A template file, UTF-8.

    :raises TextFault: It cannot be shown, or would tell nothing of the recipients.
    """
    text = _decoded(octets).strip("\n")
    if not text.strip():
        raise TextFault("is empty")
    if name in KIND_FILE.values() and "R" not in _SEQUENCE.findall(text):
        raise TextFault("has no %R, so the recipients would not be named")
    return text


def parse_labels(octets: bytes) -> dict[str, str]:
    """
    A file of ``NAME=text`` lines, UTF-8; ``!`` and ``#`` begin comments.

    :raises TextFault: A line of it is none.
    """
    labels = {}
    for number, line in enumerate(_decoded(octets).split("\n"), 1):
        line = line.strip()
        if not line or line[0] in "!#":
            continue
        name, equals, text = (part.strip() for part in line.partition("="))
        name = name.upper()
        if not equals or not text or _LABEL.fullmatch(name) is None:
            raise TextFault(f"line {number} is not NAME=text")
        labels[name] = text
    return labels


def _decoded(octets: bytes) -> str:
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as why:
        line = octets.count(b"\n", 0, why.start) + 1
        raise TextFault(f"line {line} is not UTF-8 text") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    bad = _CONTROL.search(text)
    if bad is not None:
        raise TextFault(f"line {text.count(chr(10), 0, bad.start()) + 1} has a control character")
    return text
