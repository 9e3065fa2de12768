"""The ``[notification]`` section: texts of one's own, and who is addressed in which language."""

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any

from jobctl.config.findings import Findings
from jobctl.config.keys import KeyTable, Kind, did_you_mean
from jobctl.config.keyword_forms import named
from jobctl.config.linemap import KeyPath
from jobctl.config.notification_settings import LanguageRule, NotificationSettings
from jobctl.config.paths import absolute
from jobctl.config.reading import as_table, read_table

NOTIFICATION = KeyTable(
    "key of [notification]",
    (
        named("directory", Kind.TEXT, "Folder with texts of one's own, a folder in it for each language."),
        named("language", Kind.TEXT, "Language where nothing below says another.", "en"),
        named("language_for", Kind.TABLE, '`"sender *.de" = "de"`: see docs/notifications.md.'),
    ),
)
# The languages whose texts come with jobctl.
BUILT_IN = ("de", "en", "es", "fr")
ABOUT = ("sender", "recipient", "channel")
_TAG = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*", re.ASCII)


def read_notification(
    raw: object, findings: Findings, directory: str, exists: Callable[[str], bool]
) -> NotificationSettings:
    """
    Texts and languages.

    :param exists: Whether a file or folder is there.
    """
    where = ("notification",)
    given = read_table(raw, where, NOTIFICATION, findings)
    fields: dict[str, Any] = {name: found.value for name, found in given.items() if name != "language_for"}
    if "directory" in fields:
        fields["directory"] = absolute(directory, fields["directory"])
        if not exists(fields["directory"]):
            findings.problem(given["directory"].where, f"there is no folder {fields['directory']!r}")

    if "language" in fields:
        _check_language(
            fields["language"], given["language"].where, fields.get("directory"), findings, exists
        )
    if "language_for" in given:
        place = given["language_for"].where
        table = as_table(given["language_for"].value, place, findings)
        for key, language in table.items():
            _check_language(language, (*place, key), fields.get("directory"), findings, exists)
        fields["rules"] = _rules(table, place, findings)
    return NotificationSettings(**fields)


def _rules(table: Mapping[str, object], place: KeyPath, findings: Findings) -> tuple[LanguageRule, ...]:
    """In the order of the file."""
    rules = []
    for key, language in table.items():
        about, _, pattern = key.partition(" ")
        pattern = pattern.strip().lower()
        if about not in ABOUT or not pattern:
            findings.problem((*place, key), f'is {", ".join(ABOUT)} and a pattern, as in "sender *.de"')
        else:
            rules.append(LanguageRule(about, pattern, str(language)))
    return tuple(rules)


def _check_language(
    language: object,
    place: KeyPath,
    directory: str | None,
    findings: Findings,
    exists: Callable[[str], bool],
) -> None:
    if not isinstance(language, str) or _TAG.fullmatch(language) is None:
        findings.problem(place, f"{language!r} is not a language such as en or pt-BR")
    elif not _has_texts(language, directory, exists):
        findings.problem(
            place,
            f"there are no texts for {language!r}{did_you_mean(language, BUILT_IN)}; "
            "for another language make a folder of that name in directory",
        )


def _has_texts(language: str, directory: str | None, exists: Callable[[str], bool]) -> bool:
    tag = language
    while tag:
        if tag.lower() in BUILT_IN or (directory is not None and exists(posixpath.join(directory, tag))):
            return True
        tag = tag.rpartition("-")[0]
    return False
