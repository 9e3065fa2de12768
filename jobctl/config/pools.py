"""The ``[job_controller.job_pool.X]`` sections."""

from jobctl.config.findings import Findings
from jobctl.config.keys_controller import POOL
from jobctl.config.linemap import KeyPath
from jobctl.config.reading import as_table, read_table
from jobctl.config.settings import PoolSettings

MAX_NAME = 12
# What there is when the file configures none: the original ships these with ten slots each.
SHIPPED = ("DEFAULT", "SMTP_POOL")


def read_pools(raw: object, where: KeyPath, findings: Findings, job_limit: int) -> dict[str, PoolSettings]:
    """The pools in the order of the file, at least one; ``job_limit`` is for those without their own."""
    pools = {}
    for name, table in as_table(raw, where, findings).items():
        place = (*where, name)
        if not 0 < len(name) <= MAX_NAME:
            findings.problem(place, f"a pool's name has 1 to {MAX_NAME} characters")
        given = read_table(table, place, POOL, findings)
        limit = given["job_limit"].value if "job_limit" in given else job_limit
        assert isinstance(limit, int)
        pools[name] = PoolSettings(name=name, job_limit=limit)
    return pools or {name: PoolSettings(name=name, job_limit=job_limit) for name in SHIPPED}
