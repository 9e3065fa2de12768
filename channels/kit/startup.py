"""How a channel program begins: its channel, its surroundings, and who it works for."""

import os
import stat
from collections.abc import Mapping, Sequence

import msgspec

import jobctl
from jobctl.config.settings import ChannelSettings
from jobctl.errors import ConfigError
from jobctl.jobprotocol.frames import HelloController
from jobctl.mail.transportinfo import TransportInfo

READ_FD = 3
WRITE_FD = 4

EX_OK = 0
EX_USAGE = 64
EX_NOPERM = 77
EX_TEMPFAIL = 75
EX_CONFIG = 78


class CannotStart(Exception):
    """
    This run ends before it did anything.

    :ivar text: One line for whoever reads stderr, telling what to do.
    :ivar status: Exit status of sysexits.h.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


class Start(msgspec.Struct, kw_only=True):
    """
    What is known when a program begins.

    :ivar channel: ``PMDF_CHANNEL``.
    :ivar controlled: Started by the Job Controller, with the job link on descriptors 3 and 4.
    :ivar config: Configuration file of a run by hand.
    :ivar transport: ``TRANSPORTINFO``: the connection that stdin and stdout stand for.
    :ivar application: ``APPLICATIONINFO``.
    :ivar option_file: ``PMDF_CHANNEL_OPTION``.
    :ivar warnings: To be said on stderr.
    """

    channel: str
    controlled: bool
    config: str | None = None
    transport: TransportInfo = TransportInfo()
    application: str = "SMTP"
    option_file: str | None = None
    warnings: tuple[str, ...] = ()


def read_start(name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Start:
    """
    Look around.

    :param name: Of the program, for messages.
    :param arguments: Without the program's own name.
    :raises CannotStart: No channel is named, or the arguments are wrong.
    """
    config = _config_argument(name, arguments)
    channel = environment.get("PMDF_CHANNEL", "")
    if not channel:
        raise CannotStart(
            f"{name}: PMDF_CHANNEL is not set; set it to a channel of the configuration", EX_CONFIG
        )
    transport, warning = TransportInfo.parse(environment.get("TRANSPORTINFO", ""))
    return Start(
        channel=channel,
        controlled=config is None and link_present(environment),
        config=config or environment.get("JOBCTL_CONFIG") or None,
        transport=transport,
        application=environment.get("APPLICATIONINFO", "SMTP"),
        option_file=environment.get("PMDF_CHANNEL_OPTION") or None,
        warnings=(warning,) if warning else (),
    )


def _config_argument(name: str, arguments: Sequence[str]) -> str | None:
    if not arguments:
        return None
    first, _, value = arguments[0].partition("=")
    if first == "--config" and value and len(arguments) == 1:
        return value
    if first == "--config" and not value and len(arguments) == 2 and arguments[1]:
        return arguments[1]
    if list(arguments) == ["--version"]:
        raise CannotStart(f"{name} {jobctl.__version__}", EX_OK)
    raise CannotStart(f"usage: PMDF_CHANNEL=CHANNEL {name} [--config FILE]", EX_USAGE)


def link_present(environment: Mapping[str, str]) -> bool:
    """Whether the job link is there: pipes or sockets, 3 to be read and 4 to be written."""
    if "JOBCTL_JOB" not in environment and "jobserver" in environment.get("MAKEFLAGS", ""):
        # The same two descriptors, but make's.
        return False
    return _is_stream(READ_FD, os.O_WRONLY) and _is_stream(WRITE_FD, os.O_RDONLY)


def _is_stream(fd: int, wrong: int) -> bool:
    # Late: only asked once, and the module is not needed otherwise.
    import fcntl

    try:
        mode = os.fstat(fd).st_mode
        access = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
    except OSError:
        return False
    return (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)) and access != wrong


def channel_of(hello: HelloController, option_file: str | None) -> ChannelSettings:
    """
    The channel as the controller describes it, with the options of ``PMDF_CHANNEL_OPTION`` over its own.

    :raises CannotStart: The settings do not fit this release, or the option file has mistakes.
    """
    try:
        channel = msgspec.convert(hello.settings, ChannelSettings)
    except msgspec.ValidationError as why:
        raise CannotStart(
            f"{hello.channel}: the Job Controller is of another release: {why}", EX_CONFIG
        ) from None
    if option_file is None:
        return channel
    # Late: most programs have no such file.
    from jobctl.config.options import read_option_text

    try:
        with open(option_file, encoding="utf-8") as file:
            options = read_option_text(file.read(), option_file, channel.options)
    except (OSError, UnicodeDecodeError) as why:
        raise CannotStart(f"PMDF_CHANNEL_OPTION: {option_file} cannot be read: {why}", EX_CONFIG) from None
    except ConfigError as why:
        raise CannotStart(
            "PMDF_CHANNEL_OPTION: " + "; ".join(problem.replace("\n", " ") for problem in why.problems),
            EX_CONFIG,
        ) from None
    return msgspec.structs.replace(channel, options=options)
