"""In which language a notification is written."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from jobctl.config.notification_settings import LanguageRule
from jobctl.mail.address import normal_domain, split_address


def chosen(
    rules: Iterable[LanguageRule],
    sender: str,
    recipients: Sequence[str],
    channel: str,
    preferred: Iterable[str],
    known: Iterable[str],
    default: str,
) -> str:
    """
    The language that the first rule gives that fits; else the best of ``preferred`` that has texts.

    :param recipients: Those that the notification is about; one that fits suffices.
    :param preferred: Tags from the original's header, the best first.
    :param known: Languages with texts, in small letters.
    :return: One of ``known``, or ``default``.
    """
    available = set(known)
    subjects = {"sender": [sender], "recipient": recipients, "channel": [channel]}
    for rule in rules:
        if any(_fits(rule, subject) for subject in subjects[rule.about]):
            return rule.language
    return next((found for tag in preferred if (found := nearest(tag, available))), default)


def nearest(tag: str, known: set[str]) -> str:
    """``de-at``, else ``de``: the longest beginning of a tag that is known (RFC 4647 section 3.4); ``""``: none."""
    tag = tag.lower()
    while tag and tag not in known:
        tag = tag.rpartition("-")[0]
    return tag


def _fits(rule: LanguageRule, subject: str) -> bool:
    if rule.about == "channel":
        return fnmatchcase(subject, rule.pattern)
    local, domain = split_address(subject)
    domain = normal_domain(domain)
    compared = f"{local.lower()}@{domain}" if "@" in rule.pattern else domain
    return fnmatchcase(compared, rule.pattern)
