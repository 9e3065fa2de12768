"""Channel keywords: what the programs of a channel may use of the machine."""

from jobctl.config.keys import Key, Kind
from jobctl.config.keyword_forms import valued

RESOURCE_LIMITS: tuple[Key, ...] = (
    valued(
        "limit_memory",
        Kind.INTEGER,
        "MiB of memory that each program, and each that it starts, may have for itself.",
        field="limit_memory",
        low=16,
        default="that of the class, else as the daemon",
    ),
    valued(
        "limit_open_files",
        Kind.INTEGER,
        "Descriptors that each program may have open, connections too.",
        field="limit_open_files",
        low=16,
        default="that of the class, else as the daemon",
    ),
    valued(
        "limit_cpu",
        Kind.SECONDS,
        "CPU time after which a program is ended, over its whole life.",
        field="limit_cpu",
        low=1,
        default="that of the class, else as the daemon",
    ),
    valued(
        "limit_file_size",
        Kind.INTEGER,
        "MiB of the largest file that a program may write.",
        field="limit_file_size",
        low=1,
        default="that of the class, else as the daemon",
    ),
)
