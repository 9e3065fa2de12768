"""``jobctl completion``: what makes the shell complete commands and options."""

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import write
from jobctl.commands.parser import Commands, command

_EXAMPLES = """\
  eval "$(jobctl completion bash)"
  jobctl completion zsh > ~/.zfunc/_jobctl"""

# Completes the last word of a selector, which is one word of the shell when it is in quotes.
_SELECTORS = {
    "bash": """\
_jobctl_selector() {
  local text="${1#[\\'\\"]}"
  local word="${text##*[ (]}"
  compgen -P "${text%"$word"}" -W "WORDS" -- "$word"
}
""",
    "zsh": """\
_jobctl_selector() {
  compset -P '*[ (]'
  compadd -S '' -- WORDS
}
""",
}


def register(commands: Commands) -> None:
    """Make the command known."""
    parser = command(commands, "completion", completion, "a completion script for the shell", _EXAMPLES)
    parser.add_argument("shell", choices=("bash", "zsh"))


def completion(context: Context) -> int:
    """The script on standard output."""
    import shtab

    from jobctl.commands.main import build_parser
    from jobctl.selection.fields import FIELDS

    words = " ".join([*(field.name for field in FIELDS), "and", "or", "not"])
    shell = context.args.shell
    preamble = _SELECTORS[shell].replace("WORDS", words)
    write(shtab.complete(build_parser("jobctl"), shell=shell, preamble=preamble))
    return exits.OK
