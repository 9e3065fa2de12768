"""The ``[mapping]`` section: access tables in the words of the old system's mapping file."""

from collections.abc import Iterable, Mapping

from jobctl.config.findings import Findings
from jobctl.config.linemap import KeyPath
from jobctl.config.reading import as_table
from jobctl.config.settings import Rule
from jobctl.config.templates import parse_template
from jobctl.mapping.access import ALL
from jobctl.mapping.tables import read_table
from jobctl.mapping.templates import Lookup


def read_mappings(raw: object, findings: Findings) -> dict[str, str]:
    """Table name in upper case to its text; every entry is checked."""
    found: dict[str, str] = {}
    asked: set[str] = set()
    for key, text in as_table(raw, ("mapping",), findings).items():
        where: KeyPath = ("mapping", key)
        name = key.upper()
        if not isinstance(text, str):
            findings.problem(where, 'is a table: write its entries as text between """ and """')
            continue
        if name in found:
            findings.problem(where, f"table {name} is already given")
            continue
        entries, wrong = read_table(text)
        for number, what in wrong:
            findings.problem(where, f"entry on its line {number}: {what}")
        asked |= {
            part.table for entry in entries for part in entry.template.parts if isinstance(part, Lookup)
        }
        found[name] = text
    for name in sorted(asked - found.keys()):
        findings.problem(("mapping",), f"there is no table {name}, which another asks")
    return found


def note_unused(mappings: Mapping[str, str], rules: Iterable[Rule], findings: Findings) -> None:
    """Tables that neither acts by their name nor are asked by another or by a rewrite rule."""
    asked = {call.table for rule in rules for call in parse_template(rule.template).calls}
    for text in mappings.values():
        for entry in read_table(text)[0]:
            asked |= {part.table for part in entry.template.parts if isinstance(part, Lookup)}
    for name in sorted(mappings.keys() - asked - set(ALL)):
        findings.note(
            ("mapping", name), f"is not used: what acts is {', '.join(ALL)}, and what rewrite rules ask"
        )
