"""``jobctl test``: try the configuration without touching the queue."""

from jobctl.commands import exits, former, mapping_probe, matching, notification_sample, probing, rewriting
from jobctl.commands.context import Context
from jobctl.commands.output import printable, write, write_json
from jobctl.commands.parser import Commands, command, family
from jobctl.config.settings import Settings
from jobctl.mail.counts import counted

_EXAMPLES = """\
  jobctl test config
  jobctl --config new.toml test config
  jobctl test rewrite bob@example.net
  jobctl test mapping --table PORT_ACCESS 'TCP|192.0.2.1|25|198.51.100.7|40001'
  jobctl test match '*@*.example.net' bob@mail.example.net
  imsimta test -rewrite -source_channel=tcp_local bob@example.net"""


def register(commands: Commands) -> None:
    """Make the commands known."""
    subcommands = family(commands, "test", "try the configuration", _EXAMPLES)
    command(
        subcommands,
        "config",
        config,
        "check the configuration",
        "  jobctl test config\n  jobctl --config new.toml test config --json",
        description="Check the whole configuration. Every mistake is named with file, line and key "
        "(exit status 78); options that are accepted and do not act yet are listed.",
    )
    rewriting.register(subcommands)
    matching.register(subcommands)
    mapping_probe.register(subcommands)
    probing.register(subcommands)
    notification_sample.register(subcommands)
    former.register_tests(subcommands)


def config(context: Context) -> int:
    """A wrong configuration never gets this far: it is told by the one who reports errors."""
    settings = context.settings
    if context.json:
        notes = [{"line": note.line, "key": note.key, "text": note.text} for note in settings.notes]
        faults = _text_faults(settings)
        write_json(
            {"path": settings.path, "channels": sorted(settings.channels), "notes": notes, "texts": faults}
        )
        return exits.OK
    for note in settings.notes:
        write(f"{settings.path}:{note.line}: {note.key}: {note.text}")
    for fault in _text_faults(settings):
        write(printable(f"{fault}; the built-in text is used instead"))
    write(
        f"{settings.path} is in order: {counted(len(settings.channels), 'channel')}, "
        f"{counted(len(settings.services), 'service')}, {counted(len(settings.rules), 'rewrite rule')}"
    )
    return exits.OK


def _text_faults(settings: Settings) -> list[str]:
    """What of an operator's texts for notifications cannot be used; no reason to refuse the configuration."""
    if settings.notification.directory is None:
        return []
    from jobctl.controller.texts import TextLibrary

    return TextLibrary(settings.notification.directory).faults
