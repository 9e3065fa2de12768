"""What all parts of the matrix share: the configuration of ours that they try, and the table that comes of it."""

from bench.matrix.clients import MODES
from tests.configurations import PLACES

USER, PASSWORD = "ann", "sesame-9"
KINDS = {"tcp": "tcp", "generic": "test_smtp"}
COLUMNS = [*(f"{mode}, {kind}" for kind in KINDS for mode in MODES), *MODES]
BASE = (
    PLACES
    + """
[channel.l]
official_host_name = "mail.example.org"
[channel.maildir]
official_host_name = "maildir-daemon"
maildir = "Maildir"
"""
)
IN = """
[dispatcher.service.{name}]
listen = ["tcp:{port}:interface=127.0.0.1"]
channel = "{name}"
tls_certificate = "{certificate}"
password_file = "users"
implicit_tls = {implicit}
[channel.{name}]
official_host_name = "{name}-daemon"
smtp = true
maytlsserver = true
maysaslserver = true
"""
OUT = """
[channel.{name}]
official_host_name = "{name}-daemon"
smtp = true
daemon = "[127.0.0.1]"
port = {port}
tls_policy = "{policy}"
implicit_tls = {implicit}
tls_ca_file = "{ca}"
tls_server_name = "mail.example.org"
{more}"""


class Matrix:
    """Cells by row and column, and how they are written."""

    def __init__(self) -> None:
        self.cells: dict[str, dict[str, str]] = {}
        self.notes: list[str] = []

    def put(self, row: str, column: str, said: str) -> None:
        """``said`` is ``""`` where all is well, ``-`` where there is nothing to try, else what happened."""
        if said.startswith("not installed"):
            said = "not installed"
        elif said not in ("", "-"):
            note = f"{row}: {said}"
            if note not in self.notes:
                self.notes.append(note)
            said = f"({self.notes.index(note) + 1})"
        self.cells.setdefault(row, {})[column] = said or "same"
        print(
            f"{row:20} {column:18} {said or 'same'} {self.notes[-1] if said.startswith('(') else ''}",
            flush=True,
        )

    def lines(self, title: str) -> list[str]:
        """As a table."""
        columns = [column for column in COLUMNS if any(column in cells for cells in self.cells.values())]
        rows = [
            f"| {title} |".replace("  ", " ") + "".join(f" {column} |" for column in columns),
            "|---" * (len(columns) + 1) + "|",
        ]
        for row, cells in self.cells.items():
            rows.append(f"| {row} |" + "".join(f" {cells.get(column, '-')} |" for column in columns))
        return [*rows, "", *(f"({n}) {note}\n" for n, note in enumerate(self.notes, 1))]
