"""The configuration file -> :class:`jobctl.config.settings.Settings`, checked whole."""

import hashlib
import os
import re
import tomllib
from collections.abc import Callable
from typing import Any

from jobctl.config.channels import Surroundings, read_channels
from jobctl.config.classes import MAX_LIFE_ASKWORK, MAX_LIFE_TIME, read_classes
from jobctl.config.controller_settings import JobControllerSettings
from jobctl.config.findings import Findings
from jobctl.config.keys_controller import CONTROLLER
from jobctl.config.keys_mta import MTA
from jobctl.config.line_ends import note_assumed
from jobctl.config.linemap import LineMap
from jobctl.config.log_options import LogSettings
from jobctl.config.mappings import note_unused, read_mappings
from jobctl.config.notification import read_notification
from jobctl.config.paths import absolute
from jobctl.config.pools import read_pools
from jobctl.config.reading import Table, as_tables, read_table
from jobctl.config.retries import demotion_everywhere
from jobctl.config.retry_rules import read_retry_rules
from jobctl.config.rewriting import read_rules
from jobctl.config.services import read_services
from jobctl.config.settings import RECIPIENT_LIMIT_BIT, MtaSettings, Settings
from jobctl.config.shares import read_shares
from jobctl.config.tls_policy import read_tls_policy
from jobctl.config.tls_rules import TlsRule
from jobctl.errors import ConfigError
from jobctl.mapping.access import IP_ACCESS, RECIPIENT_TABLES

DEFAULT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "default.toml")
BLOCK = 1024
# Blocks of a message that goes back whole: by default, and at most, since it is in memory for that.
RETURN_LIMIT, MOST_RETURNED = 1024, 65536
_SECTIONS = (
    "job_controller",
    "dispatcher",
    "mta",
    "defaults",
    "channel",
    "rewrite",
    "notification",
    "mapping",
    "tls_policy",
)
_PLACE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|(end of document))\)", re.DOTALL)


def load(path: str, shown: str | None = None) -> Settings:
    """
    Read and check a configuration file.

    :param shown: How messages name it, ``None``: as it is given.

    The embedded default configuration, given by its path, is as :func:`load_default` of the
    current directory.

    :raises ConfigError: Every mistake in it, or why it cannot be read.
    """
    if os.path.realpath(path) == os.path.realpath(DEFAULT):
        return load_default(os.getcwd())
    return load_text(_read(path), shown or path, directory=os.path.dirname(path) or ".")


def load_default(directory: str) -> Settings:
    """The embedded default configuration, its paths as seen from ``directory``."""
    return load_text(_read(DEFAULT), DEFAULT, directory=directory)


def control_socket(path: str) -> str | None:
    """
    Where a file says the control socket is, whatever else is wrong with it; ``None``: it does not say.

    A daemon that runs on an earlier version of the file can be reached so.
    """
    try:
        section = tomllib.loads(_read(path)).get("job_controller", {})
    except (ConfigError, tomllib.TOMLDecodeError):
        return None
    given = section.get("control_socket", "var/control.sock") if isinstance(section, dict) else None
    return absolute(os.path.dirname(os.path.abspath(path)), given) if isinstance(given, str) else None


def load_text(
    text: str, path: str, *, directory: str | None = None, exists: Callable[[str], bool] = os.path.exists
) -> Settings:
    """
    Check a configuration that has been read.

    :param path: How messages name the file; relative paths in it are as seen from its directory,
        or else from ``directory``.
    :raises ConfigError: Every mistake in it.
    """
    text = text.removeprefix("\ufeff")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as why:
        raise ConfigError([_syntax_problem(str(why), text, path)]) from None
    findings = Findings(path, LineMap(text))
    base = os.path.abspath(directory if directory is not None else os.path.dirname(path) or ".")
    settings = _settings(document, findings, base, exists)
    if findings.problems:
        raise ConfigError(findings.problems)
    return settings


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            octets = file.read()
    except OSError as why:
        raise ConfigError(
            [f"{path}:0: (file): cannot be read: {why.strerror}; give another with --config"]
        ) from None
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as why:
        line = octets.count(b"\n", 0, why.start) + 1
        raise ConfigError([f"{path}:{line}: (file): is not UTF-8 text; save it as UTF-8"]) from None


def _syntax_problem(message: str, text: str, path: str) -> str:
    found = _PLACE.fullmatch(message)
    lines = text.splitlines() or [""]
    number = int(found[2]) if found is not None and found[2] else len(lines)
    what = found[1] if found is not None else message
    column = f" at column {found[3]}" if found is not None and found[3] else " at the end"
    shown = lines[min(number, len(lines)) - 1].strip()[:60]
    return f"{path}:{number}: (syntax): not TOML: {what[:1].lower()}{what[1:]}{column}, in: {shown}"


def _settings(
    document: dict[str, Any], findings: Findings, directory: str, exists: Callable[[str], bool]
) -> Settings:
    retry = document.pop("retry", None)
    sections = as_tables(document, (), findings, _SECTIONS, "section")
    mta = read_table(sections["mta"], ("mta",), MTA, findings)
    _note_bits(mta, findings)
    controller = read_table(sections["job_controller"], ("job_controller",), CONTROLLER, findings)
    tls_rules = read_tls_policy(sections["tls_policy"], findings, directory, exists)
    mappings = read_mappings(sections["mapping"], findings)
    around = _surroundings(controller, mta, tls_rules, mappings, findings, directory, exists)
    channels = read_channels(sections["channel"], sections["defaults"], findings, around)
    dispatcher = as_tables(
        sections["dispatcher"], ("dispatcher",), findings, ("service",), "key of [dispatcher]"
    )
    where = ("job_controller", "share")
    weights = read_shares(controller["share"].value if "share" in controller else {}, where, findings)
    checked = any(one.recipients_file or one.existingmaildirs for one in channels.values())
    asks_all = checked or any(name in mappings for name in RECIPIENT_TABLES)
    places = _controller(controller, directory, weights)
    host = channels["l"].local_host if "l" in channels else ""
    rules = read_rules(sections["rewrite"], ("rewrite",), findings, channels, mappings)
    note_unused(mappings, rules, findings)
    services = read_services(dispatcher["service"], findings, channels, directory, exists)
    note_assumed(services.values(), channels, findings)
    return Settings(
        path=findings.path,
        controller=places,
        mta=_mta(mta, mappings, asks_all, f"{places.queue_directory}|{host}"),
        log=_log(mta),
        pools=around.pools,
        channels=channels,
        services=services,
        notification=read_notification(sections["notification"], findings, directory, exists),
        tls_policy=tls_rules,
        rules=rules,
        retry=read_retry_rules(retry, around.return_units, findings),
        notes=findings.notes,
        lines=findings.lines(),
    )


def _note_bits(mta: Table, findings: Findings) -> None:
    """Which bits of ``use_permanent_error`` do nothing."""
    given = mta.get("use_permanent_error")
    if given is not None and (others := int(given.value) & ~RECIPIENT_LIMIT_BIT):  # type: ignore[call-overload]
        text = f"does not act yet: {others}; {RECIPIENT_LIMIT_BIT} alone has a meaning here"
        findings.note(given.where, text)


def _surroundings(
    controller: Table,
    mta: Table,
    tls_rules: dict[str, TlsRule],
    mappings: dict[str, str],
    findings: Findings,
    directory: str,
    exists: Callable[[str], bool],
) -> Surroundings:
    def value(name: str, default: Any) -> Any:
        return controller[name].value if name in controller else default

    where = ("job_controller",)
    return Surroundings(
        classes=read_classes(
            value("channel_class", {}),
            (*where, "channel_class"),
            findings,
            value("max_life_time", MAX_LIFE_TIME),
            value("max_life_askwork", MAX_LIFE_ASKWORK),
        ),
        pools=read_pools(value("job_pool", {}), (*where, "job_pool"), findings, value("job_limit", 10)),
        return_units=1 if "return_units" in mta and mta["return_units"].value == 1 else 0,
        demotion=demotion_everywhere(mta),
        tls_rules=tls_rules,
        ip_access=mappings if IP_ACCESS in mappings else {},
        use_ip_access=int(mta["use_ip_access"].value) if "use_ip_access" in mta else 0,  # type: ignore[call-overload]
        directory=directory,
        exists=exists,
    )


def _controller(given: Table, directory: str, weights: dict[str, int]) -> JobControllerSettings:
    fields: dict[str, Any] = {
        "queue_directory": "var/queue",
        "control_socket": "var/control.sock",
        "log_directory": "var/log",
    }
    known = JobControllerSettings.__struct_fields__
    fields.update({name: found.value for name, found in given.items() if name in known})
    for name in ("queue_directory", "control_socket", "log_directory", "json_log"):
        if name in fields:
            fields[name] = absolute(directory, fields[name])
    fields["share"] = weights
    return JobControllerSettings(**fields)


def _log(given: Table) -> LogSettings:
    known = LogSettings.__struct_fields__
    return LogSettings(**{name: found.value for name, found in given.items() if name in known})  # type: ignore[arg-type]


def _mta(given: Table, mappings: dict[str, str], asks_all: bool, ourselves: str) -> MtaSettings:
    """:param ourselves: Text that no other installation has, for XLOOP."""
    log = LogSettings.__struct_fields__
    fields: dict[str, Any] = {
        found.key.field: found.value
        for found in given.values()
        if found.key.field and found.key.field not in log
    }
    fields["block_limit"] = fields.get("block_limit", 0) * BLOCK
    limit = fields.pop("content_return_block_limit", RETURN_LIMIT)
    fields["content_return_limit"] = (limit or MOST_RETURNED) * BLOCK
    fields["mappings"] = mappings
    fields["asks_all"] = asks_all
    fields["loop"] = hashlib.sha256(ourselves.encode()).hexdigest()[:32].upper()
    return MtaSettings(**fields)
