"""``mail.log_current``: a line for every step of every recipient, of the channels that are logged."""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from jobctl.accounts.entries import aborted, enqueued, moved, settled, told
from jobctl.accounts.formats import Formatter
from jobctl.accounts.log_names import CONNECTION, MAIL, LogNames
from jobctl.accounts.records import AUTHENTICATION, ETRN, ConnectionRecord, MailRecord
from jobctl.config import log_options
from jobctl.config.settings import Settings
from jobctl.controller.log_file import LogFile
from jobctl.controller.log_rollover import Rollover
from jobctl.controller.syslog import Syslog
from jobctl.jobprotocol.frames import Event, Submit
from jobctl.mail.entry import Settlement, StoredEntry, Submission
from jobctl.mail.envelope import Source

# Connections of one job whose banner is remembered.
MOST_BANNERS = 512
# The bit of log_connection that asks for a record; connections that are opened, closed or fail have bit 1.
_BITS = {ETRN: log_options.ETRN, AUTHENTICATION: log_options.AUTHENTICATION}


class TransactionLog:
    """
    A book (:class:`jobctl.controller.books.Book`) of lines.

    :param reactor: Its clock, and its turns: the lines of one turn are one write.
    """

    def __init__(self, settings: Settings, reactor: Any) -> None:
        directory = settings.controller.log_directory
        self._files = {names: _file(directory, names, reactor) for names in (MAIL, CONNECTION)}
        self._rollovers = [
            Rollover(file, directory, names, reactor, settings.controller.log_rollover)
            for names, file in self._files.items()
        ]
        self._syslog = Syslog()
        # By job: transport string to what its server said and how it is spoken to.
        self._banners: dict[str, dict[str, tuple[str, str]]] = {}
        self.reconfigure(settings)

    def reconfigure(self, settings: Settings) -> None:
        """Write so from now on."""
        log = self._log = settings.log
        self._format = Formatter(log, settings.local_host)
        self._channels = settings.channels
        # log_connection of the channels that are logged.
        self._bits = {
            channel.name: log.log_connection
            if channel.options.log_connection is None
            else channel.options.log_connection
            for channel in settings.channels.values()
            if channel.logging
        }
        self._connections = self._files[CONNECTION if log.separate_connection_log else MAIL]
        for rollover in self._rollovers:
            rollover.reconfigure(settings.controller.log_rollover)

    @property
    def lost(self) -> int:
        """Lines that could not be written anywhere."""
        return sum(file.lost for file in self._files.values()) + self._syslog.lost

    def start(self) -> None:
        """Days begin and end from now on."""
        for rollover in self._rollovers:
            rollover.start()

    def reopen(self) -> None:
        """Somebody has renamed the files."""
        for file in self._files.values():
            file.flush()
            file.close()

    def stop(self) -> None:
        """Write what waits, and let go."""
        for rollover in self._rollovers:
            rollover.stop()
        for file in self._files.values():
            file.end()
        self._syslog.close()

    def queued(self, ids: Sequence[str], submission: Submission, now: float) -> None:
        if not self._bits:
            return
        source = self._bits.get(submission.source.channel)
        for entry_id, new in zip(ids, submission.entries, strict=True):
            bits = self._bits.get(new.channel, source)
            if bits is not None:
                self._write(enqueued(entry_id, new, submission, now), bits)

    def settled(self, stored: StoredEntry, settlement: Settlement, now: float) -> None:
        if not self._bits:
            return
        channel = stored.entry.channel
        bits = self._bits.get(channel)
        if bits is not None:
            records = list(settled(stored, settlement, now))
            transports = {one.recipient: one.transport for one in settlement.said}
            for record in records:
                self._complete(record, channel, settlement.job, transports.get(record.recipient, ""))
            self._write(records, bits)
        place = settlement.place[0] if settlement.place is not None else channel
        bits = self._bits.get(place, bits)
        if bits is not None and (place != channel or settlement.recipients is not None):
            gone = {address for address, _ in settlement.losses}
            left = settlement.recipients or [
                one for one in stored.envelope.recipients if one.address not in gone
            ]
            self._write(moved(stored, place, left, now), bits)

    def _complete(self, record: MailRecord, channel: str, job: str, transport: str) -> None:
        """What is known of the connection, as far as the channel wants it shown."""
        settings = self._channels.get(channel)
        banner, record.modifiers = self._banners.get(job, {}).get(transport, ("", ""))
        record.application = banner
        if settings is not None:
            if settings.options.log_transportinfo:
                record.connection = transport
            if settings.options.log_banner:
                record.banner = banner

    def event(self, job: Any, event: Event, now: float) -> None:
        channel = job.spec.source(event.channel)
        inbound = job.spec.role == "slave"
        if not inbound and event.event == "opened":
            banners = self._banners.setdefault(job.id, {})
            if len(banners) >= MOST_BANNERS:
                del banners[next(iter(banners))]
            banners[event.transport] = (event.application, event.modifiers)
        bits = self._bits.get(channel)
        if bits is None:
            return
        record = told(channel, inbound, job.id, event, now, bool(bits & log_options.SITE_TEXT))
        if isinstance(record, MailRecord):
            self._write([record], bits)
        elif record is not None and bits & _BITS.get(record.action, log_options.CONNECTIONS):
            self._write_connection(record)

    def aborted(self, job: Any, first: Submit, received: int, now: float) -> None:
        source = first.source or Source(job.spec.channel.name)
        source = msgspec.structs.replace(source, channel=job.spec.source(source.channel))
        bits = self._bits.get(source.channel)
        if bits is not None and first.envelope is not None:
            self._write(aborted(first.envelope, source, job.id, received, now), bits)

    def job_ended(self, job: Any) -> None:
        self._banners.pop(job.id, None)

    def _write(self, records: Iterable[MailRecord], bits: int) -> None:
        syslog = self._log.log_messages_syslog
        for record in records:
            line = self._format.mail(record, bits)
            if syslog >= 0:
                self._files[MAIL].append(line)
            if syslog:
                self._syslog.send(line, abs(syslog))

    def _write_connection(self, record: ConnectionRecord) -> None:
        syslog = self._log.log_connections_syslog
        line = self._format.connection(record)
        if syslog >= 0:
            self._connections.append(line)
        if syslog:
            self._syslog.send(line, abs(syslog))


def _file(directory: str, names: LogNames, reactor: Any) -> LogFile:
    return LogFile(os.path.join(directory, names.current), reactor)
