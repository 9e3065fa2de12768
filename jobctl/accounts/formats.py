"""Records as lines of the transaction log, in each of the six formats (job controller reference 4.2 to 4.4)."""

import time
from collections.abc import Callable
from typing import Any

import msgspec

from jobctl.accounts.escapes import MOST, field, one_line, text, xml
from jobctl.accounts.records import BAD_COMMAND, ConnectionRecord, MailRecord, blocks
from jobctl.config.log_options import APPLICATION, SYSTEM, TRANSPORT, LogSettings

PLAIN, BRACKETED, COUNTED, XML, JSON, FLAT_JSON = range(1, 7)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# The attributes of a message's record in their order, each with the option that turns it on; ``None``: always.
MAIL_FIELDS: tuple[tuple[str, str | None], ...] = (
    ("ts", None),
    ("no", "log_node"),
    ("pi", "log_process"),
    ("sc", None),
    ("dc", None),
    ("ac", None),
    ("sz", None),
    ("so", None),
    ("od", None),
    ("de", None),
    ("rf", "log_notary"),
    ("fi", "log_filename"),
    ("ei", "log_envelope_id"),
    ("mi", "log_message_id"),
    ("us", "log_username"),
    ("ss", "bit"),
    ("se", "log_sensitivity"),
    ("pr", "log_priority"),
    ("re", "log_reason"),
    ("di", "log_diagnostics"),
    ("rm", "log_remote_mta"),
    ("tr", "bit"),
    ("ap", "bit"),
    ("qt", "log_queue_time"),
)
CONNECTION_FIELDS: tuple[tuple[str, str | None], ...] = (
    ("ts", None),
    ("no", "log_node"),
    ("pi", "log_process"),
    ("sc", None),
    ("dr", None),
    ("ac", None),
    ("tr", None),
    ("ap", None),
    ("us", "log_username"),
    ("di", "log_diagnostics"),
)
_BITS = {"ss": SYSTEM, "tr": TRANSPORT, "ap": APPLICATION}
_ALWAYS = frozenset({"ts", "sc", "dc", "ac", "sz", "so", "od", "de", "dr"})
_ADDRESSES = frozenset({"so", "od", "de"})
# Of a bounded set of values and written by us: not counted in format 3.
_UNCOUNTED = frozenset({"ts", "dr", "ac", "sz", "qt"})
_encode = msgspec.json.Encoder().encode

_Line = Callable[[Any, int], str]


class Formatter:
    """
    Lines in the format that the settings ask for, without line ends.

    :param node: The name of this host.
    """

    def __init__(self, settings: LogSettings, node: str) -> None:
        self._settings = settings
        self._node = field(node)
        self._clock = Stamp(settings.log_format)
        # By the bits of a channel: the selected fields.
        self._mail: dict[int, list[tuple[str, bool]]] = {}
        self._connection = self._selected(CONNECTION_FIELDS, 0)
        self._write = _WRITERS[settings.log_format]
        self._domain = f"@{node}" if settings.log_local else ""

    def mail(self, record: MailRecord, bits: int) -> str:
        """
        :param bits: ``log_connection`` as it holds for the channel.
        """
        selected = self._mail.get(bits)
        if selected is None:
            selected = self._mail[bits] = self._selected(MAIL_FIELDS, bits)
        return self._write("en", self._values(record, selected, _MAIL), selected)

    def connection(self, record: ConnectionRecord) -> str:
        """One line about a connection."""
        return self._write("co", self._values(record, self._connection, _CONNECTION), self._connection)

    def _selected(self, fields: tuple[tuple[str, str | None], ...], bits: int) -> list[tuple[str, bool]]:
        """Names of the fields, each with whether it is written though empty."""
        chosen = []
        for name, option in fields:
            if option is None:
                chosen.append((name, name in _ALWAYS))
            elif option == "bit":
                if bits & _BITS[name]:
                    chosen.append((name, False))
            elif (value := self._settings.bits(option)) & 1:
                chosen.append((name, bool(value & 4)))
        return chosen

    def _values(
        self, record: Any, selected: list[tuple[str, bool]], readers: dict[str, Callable[[Any], str | int]]
    ) -> list[str | int]:
        values: list[str | int] = []
        for name, _ in selected:
            if name == "ts":
                values.append(self._clock.text(record.when))
            elif name == "no":
                values.append(self._node)
            else:
                values.append(readers[name](record))
        if self._domain and readers is _MAIL and record.action != BAD_COMMAND:
            self._complete(values, selected)
        return values

    def _complete(self, values: list[str | int], selected: list[tuple[str, bool]]) -> None:
        """Addresses without a domain are of this host."""
        for place, (name, _) in enumerate(selected):
            value = str(values[place])
            foreign = name == "od" and not value.lower().startswith("rfc822;")
            if name in _ADDRESSES and value and "@" not in value and not foreign:
                values[place] = value + self._domain


class Stamp:
    """Times as the format has them, local time; the text of a second is made once."""

    def __init__(self, log_format: int) -> None:
        self._structured = log_format >= XML
        self._second = -1
        self._before = self._after = ""

    def text(self, when: float) -> str:
        """``28-Feb-2007 11:50:59.10``, or ``2007-02-28T11:50:59.10+01:00`` in formats 4 to 6."""
        second, hundredths = divmod(int(when * 100), 100)
        if second != self._second:
            self._second = second
            at = time.localtime(second)
            if self._structured:
                zone = time.strftime("%z", at)
                self._before = time.strftime("%Y-%m-%dT%H:%M:%S", at)
                self._after = f"{zone[:3]}:{zone[3:]}"
            else:
                # Not strftime: the month has the same name in every locale.
                self._before = f"{at.tm_mday:02}-{_MONTHS[at.tm_mon - 1]}-{time.strftime('%Y %H:%M:%S', at)}"
        return f"{self._before}.{hundredths:02}{self._after}"


def diagnostic(record: MailRecord) -> str:
    """What the other side said, with the connection and its banner where the channel shows them."""
    parts = [f"dns;{record.remote}"] if record.remote else []
    if record.connection:
        parts.append(f"({record.connection})")
    if record.banner:
        parts.append(f"({record.banner})")
    if record.diagnostic:
        parts.append(f"smtp;{record.diagnostic}" if record.remote else record.diagnostic)
    return " ".join(parts)


def _action(record: Any) -> str:
    return str(record.action + record.modifiers)


_MAIL: dict[str, Callable[[Any], str | int]] = {
    "pi": lambda record: record.job,
    "sc": lambda record: record.source,
    "dc": lambda record: record.destination,
    "ac": _action,
    "sz": lambda record: blocks(record.size),
    "so": lambda record: record.sender,
    "od": lambda record: record.original,
    "de": lambda record: record.recipient,
    "rf": lambda record: record.notify,
    "fi": lambda record: record.file,
    "ei": lambda record: record.envelope_id,
    "mi": lambda record: record.message_id,
    "us": lambda record: record.user,
    "ss": lambda record: record.system,
    "se": lambda record: record.sensitivity,
    "pr": lambda record: record.priority,
    "re": lambda record: record.reason,
    "di": diagnostic,
    "rm": lambda record: record.remote,
    "tr": lambda record: record.transport,
    "ap": lambda record: record.application,
    "qt": lambda record: "" if record.queued is None else max(0, int(record.queued)),
}
_CONNECTION: dict[str, Callable[[Any], str | int]] = {
    "pi": lambda record: record.job,
    "sc": lambda record: record.channel,
    "dr": lambda record: "+" if record.inbound else "-",
    "ac": _action,
    "tr": lambda record: record.transport,
    "ap": lambda record: record.application,
    "us": lambda record: record.user,
    "di": lambda record: record.diagnostic,
}


def _plain(element: str, values: list[str | int], selected: list[tuple[str, bool]]) -> str:
    return " ".join(
        [
            str(value)
            if type(value) is int or name == "ts"
            else text(value)  # type: ignore[arg-type]
            if name == "di"
            else field(value)  # type: ignore[arg-type]
            for (name, _), value in zip(selected, values, strict=True)
        ]
    ).rstrip()


def _bracketed(element: str, values: list[str | int], selected: list[tuple[str, bool]]) -> str:
    filled = [
        "<>" if value == "" and name in _ADDRESSES else value
        for (name, _), value in zip(selected, values, strict=True)
    ]
    return _plain(element, filled, selected)


def _counted(element: str, values: list[str | int], selected: list[tuple[str, bool]]) -> str:
    parts = []
    for (name, _), value in zip(selected, values, strict=True):
        if name in _UNCOUNTED:
            parts.append(str(value))
        else:
            written = text(str(value))
            parts.append(f"{len(written.encode('utf-8'))}:{written}")
    return " ".join(parts)


def _xml(element: str, values: list[str | int], selected: list[tuple[str, bool]]) -> str:
    attributes = [
        f'{name}="{xml(str(value))}"'
        for (name, empty), value in zip(selected, values, strict=True)
        if value != "" or empty
    ]
    return f"<{element} {' '.join(attributes)}/>"


def _object(values: list[str | int], selected: list[tuple[str, bool]]) -> dict[str, str | int]:
    return {
        name: value if type(value) is int else _bounded(str(value))
        for (name, empty), value in zip(selected, values, strict=True)
        if value != "" or empty
    }


def _bounded(value: str) -> str:
    if len(value) > MOST:
        value = value[:MOST] + "..."
    # Half a surrogate pair is no text for JSON.
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def _json(element: str, values: list[str | int], selected: list[tuple[str, bool]]) -> str:
    return one_line(_encode({element: _object(values, selected)}).decode())


def _flat_json(element: str, values: list[str | int], selected: list[tuple[str, bool]]) -> str:
    return one_line(_encode({"el": element, **_object(values, selected)}).decode())


_WRITERS: dict[int, Callable[[str, list[str | int], list[tuple[str, bool]]], str]] = {
    PLAIN: _plain,
    BRACKETED: _bracketed,
    COUNTED: _counted,
    XML: _xml,
    JSON: _json,
    FLAT_JSON: _flat_json,
}
