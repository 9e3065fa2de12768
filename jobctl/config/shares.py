"""The ``[job_controller.share."X"]`` sections."""

from jobctl.config.findings import Findings
from jobctl.config.keys_controller import SHARE
from jobctl.config.linemap import KeyPath
from jobctl.config.reading import as_table, read_table


def read_shares(raw: object, where: KeyPath, findings: Findings) -> dict[str, int]:
    """Weight by name; names are compared in lower case, as domains are."""
    weights = {}
    for name, table in as_table(raw, where, findings).items():
        given = read_table(table, (*where, name), SHARE, findings)
        weight = given["weight"].value if "weight" in given else 1
        assert isinstance(weight, int)
        weights[name.lower()] = weight
    return weights
