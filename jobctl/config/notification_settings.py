"""Settings of notifications: their texts, and who is addressed in which language."""

import msgspec


class LanguageRule(msgspec.Struct, frozen=True):
    """
    One line of ``[notification.language_for]``.

    :ivar about: ``sender``, ``recipient`` or ``channel``.
    :ivar pattern: A domain, an address or a channel's name, in small letters, ``*`` and ``?`` as in file names.
    """

    about: str
    pattern: str
    language: str


class NotificationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """
    The ``[notification]`` section.

    :ivar directory: Absolute path of the operator's texts, a folder for each language.
    :ivar language: Where neither a rule nor the original's header says another.
    """

    directory: str | None = None
    language: str = "en"
    rules: tuple[LanguageRule, ...] = ()
