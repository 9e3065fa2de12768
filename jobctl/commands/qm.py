"""``jobctl qm``: the queue manager's commands, each kind in a module of its own."""

from jobctl.commands import (
    acts,
    counters,
    qm_changes,
    qm_damaged,
    qm_lists,
    qm_messages,
    qm_searches,
    qm_session,
)
from jobctl.commands.context import Context
from jobctl.commands.parser import Commands, family

_EXAMPLES = """\
  jobctl qm                               the prompt qm.maint>
  jobctl qm summarize                     one line per channel
  jobctl qm directory tcp_local           what is queued there
  jobctl qm history a1b2                  what was tried for a message, and what came of it
  jobctl qm stop 'tcp_*'                  no deliveries until 'qm start', over restarts too
  imsimta qm -maint dir -held -from=ann   the old spelling works too"""


def register(commands: Commands) -> None:
    """Make the commands known."""
    subcommands = family(commands, "qm", "look at the queue and steer it", _EXAMPLES, alone=prompt)
    qm_lists.register(subcommands)
    qm_messages.register(subcommands)
    qm_changes.register(subcommands)
    acts.register_qm(subcommands)
    qm_searches.register_qm(subcommands)
    qm_damaged.register(subcommands)
    counters.register(subcommands)
    qm_session.register(subcommands)


def prompt(context: Context) -> int:
    """Commands one after another."""
    from jobctl.commands.prompt import interact

    return interact(context)
