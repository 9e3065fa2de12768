"""The ``[mapping]`` section: access tables in the words of the old system's mapping file."""

from jobctl.config.findings import Findings
from jobctl.config.linemap import KeyPath
from jobctl.config.reading import as_table
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
    for name in sorted(found.keys() - asked - set(ALL)):
        findings.note(("mapping", name), f"is not used: what acts is {', '.join(ALL)}")
    return found
