"""One notification as a message to be queued: its language, its size, its way."""

import msgspec
from twisted.logger import Logger

from jobctl.config.settings import Settings
from jobctl.controller.intake import BLOCK, Intake
from jobctl.controller.refusals import Refusal
from jobctl.controller.texts import ENGLISH, TextLibrary
from jobctl.mail.entry import Origin, StoredEntry, Submission
from jobctl.mail.envelope import Envelope, Recipient, Source
from jobctl.notification.language import chosen
from jobctl.notification.notice import Notice
from jobctl.notification.original import languages, quotable_header
from jobctl.notification.report import Report, report

log = Logger()


class NoticeMail:
    """Writes notifications in their reader's language and finds their way; loses none for want of words."""

    def __init__(self, settings: Settings, intake: Intake) -> None:
        self._intake = intake
        self.reconfigure(settings)

    def reconfigure(self, settings: Settings) -> None:
        """From now on these settings, and the texts as they are now."""
        self._settings = settings
        self._texts = TextLibrary(settings.notification.directory)

    def submission(self, case: Notice, stored: StoredEntry) -> Submission | None:
        """The submission, or nothing when its reader cannot be reached: then that is logged."""
        try:
            made = self._routed(case, stored, self._written(case, stored))
            if case.whole and self._too_large(made):
                case = msgspec.structs.replace(case, whole=False)
                made = self._routed(case, stored, self._written(case, stored))
        except Refusal as why:
            log.warn(
                "{entry}: {kind}, and {whom} cannot be told: {why}",
                entry=stored.entry.id,
                kind=case.kind.value,
                whom="the postmaster" if case.copy else "its sender",
                why=why.text,
            )
            return None
        log.info(
            "{entry}: {kind}, {to} is told by {notice}",
            entry=stored.entry.id,
            kind=case.kind.value,
            to=case.to,
            notice=case.unique,
        )
        return made

    def _written(self, case: Notice, stored: StoredEntry) -> Report:
        language = self._language(case, stored)
        english = self._texts.built_in(ENGLISH)
        try:
            return report(case, self._texts.of(language), english)
        except Exception:
            log.failure(
                "{entry}: bug in the texts of notifications ({language})",
                entry=stored.entry.id,
                language=language,
            )
            return report(case, english, english)

    def _language(self, case: Notice, stored: StoredEntry) -> str:
        chosen_by = self._settings.notification
        if case.copy:
            return chosen_by.language
        return chosen(
            chosen_by.rules,
            stored.envelope.sender,
            [one.recipient for one in case.verdicts],
            stored.entry.channel,
            languages(quotable_header(case.original.content)),
            self._texts.languages,
            chosen_by.language,
        )

    def _routed(self, case: Notice, stored: StoredEntry, written: Report) -> Submission:
        """:raises Refusal: There is no way to the reader (RFC 5321 section 6.1)."""
        envelope = Envelope(
            sender="",
            recipients=(Recipient(case.to, notify="NEVER"),),
            body=written.body,
            smtputf8=written.smtputf8,
        )
        return self._intake.submission(
            envelope,
            Source(self._settings.channel(stored.entry.channel).notificationchannel),
            written.content,
            len(written.content),
            envelope_id=case.unique,
            origin=Origin.GENERATED,
        )

    def _too_large(self, made: Submission) -> bool:
        """Whether a channel on its way has a ``blocklimit`` that the original passed but its notification does not."""
        channels = (self._settings.channels[entry.channel] for entry in made.entries)
        return any(
            channel.blocklimit is not None and made.size > channel.blocklimit * BLOCK for channel in channels
        )
