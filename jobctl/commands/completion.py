"""``jobctl completion``: what makes the shell complete commands and options."""

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import write
from jobctl.commands.parser import Commands, command

_EXAMPLES = """\
  eval "$(jobctl completion bash)"
  jobctl completion zsh > ~/.zfunc/_jobctl"""


def register(commands: Commands) -> None:
    """Make the command known."""
    parser = command(commands, "completion", completion, "a completion script for the shell", _EXAMPLES)
    parser.add_argument("shell", choices=("bash", "zsh"))


def completion(context: Context) -> int:
    """The script on standard output."""
    import shtab

    from jobctl.commands.main import build_parser

    write(shtab.complete(build_parser("jobctl"), shell=context.args.shell))
    return exits.OK
