"""The interfaces that cross packages (zope.interface)."""

# The arguments are told of in words: values of other packages, which these interfaces join.
# mypy: disable-error-code="no-untyped-def, misc, empty-body"

from zope.interface import Attribute, Interface


class IContent(Interface):
    """Message content being read; one reader at a time, closed by who asked for it."""

    size = Attribute("Octets in all.")

    def read(count):
        """
        :return: Up to ``count`` further octets, ``b""`` at the end.
        :raises jobctl.errors.StoreError: The content is damaged (checksum) or gone.
        """

    def close():
        """Give back what reading it holds; may be called twice."""


class IStagedContent(Interface):
    """Content on its way in, not yet owed to anybody."""

    size = Attribute("Octets written so far.")
    lines = Attribute("Line ends among them.")

    def write(data):
        """
        Add octets.

        :raises jobctl.errors.StoreFull: No room; the staged content is gone.
        """

    def discard():
        """Forget it; harmless after a discard or after it was enqueued."""


class IMessageStore(Interface):
    """
    Where accepted mail lives until its last recipient has a final verdict.

    A Deferred that fires has reached the disk: what it did survives losing
    power the next instant.  Changes are applied in the order of the calls;
    callers share commits and none waits for a commit of its own.  Reads never
    delay changes.  All methods are called from, and all Deferreds fire in,
    the reactor's thread.
    """

    def open():
        """
        Take possession, make or migrate the schema, set damaged records aside.

        :raises jobctl.errors.StoreBusy: Another process has it.
        :raises jobctl.errors.StoreError: Cannot be read, or is from a newer release.
        """

    def share_by(kind):
        """
        Give entries their share by this from now on; at first they have none.

        :param kind: One of :data:`jobctl.mail.share.KINDS`.
        """

    def keep_free(octets):
        """So much must stay free on the disk for mail to be accepted, from now on."""

    def close():
        """Commit what is waiting and let go. Deferred[None]."""

    def stage():
        """Begin content that comes in pieces. IStagedContent."""

    def enqueue(submission):
        """
        Take responsibility for a message.

        :param submission: jobctl.mail.entry.Submission
        :return: Deferred[list[str]], the entries' ids in the order of ``submission.entries``.
        :raises jobctl.errors.StoreFull: (fails) nothing was kept; the caller answers 452.
        :raises jobctl.errors.StoreError: (fails) nothing was kept; the caller answers 451.
        """

    def settle(settlement):
        """
        Apply what an attempt or an operator did to one entry.

        :param settlement: jobctl.mail.entry.Settlement
        :return: Deferred[list[list[str]]]: the entry ids of each notification, once all is
            committed. An entry that is gone makes it fire with ``[]`` and changes nothing.
        :raises jobctl.errors.StoreError: (fails) nothing changed. Settling works on a full
            disk as long as the reserve lasts.
        """

    def move(id, channel, host):
        """Put an entry into another channel's queue. Deferred[bool]; ``False``: it is gone."""

    def set_priority(id, priority):
        """Deferred[bool]; ``False``: it is gone."""

    def fetch(ids):
        """
        :return: Deferred[list[StoredEntry]], those still there, in any order.
        """

    def fetch_whole(ids):
        """
        As :meth:`fetch`, for hand-outs of many at once.

        :return: Deferred[list[tuple[StoredEntry, bytes | None]]]: ``None`` in place of content that is
            large or damaged; :meth:`content` opens the one and tells of the other.
        """

    def content(message):
        """
        :param message: ``StoredEntry.message``.
        :return: Deferred[IContent]
        :raises jobctl.errors.StoreError: (fails) gone or damaged.
        """

    def window(after, limit, skip):
        """
        Load queued (not held) entries in order of due time.

        :param after: ``(due, id)`` beyond which to look, or ``None`` for the beginning.
        :param limit: Most entries to return.
        :param skip: ``(channel, host)`` pairs to leave out, at most 500.
        :return: Deferred[list[QueueEntry]] in order of (due, id).
        """

    def backlog(channel, host, after, limit):
        """As :meth:`window`, of one channel and host (``host`` ``None``: of the whole channel)."""

    def directory(channel=None, held=None, limit=None, after=None, hosts=None):
        """
        :param held: ``True`` only held, ``False`` only queued, ``None`` both.
        :param after: Entry id after which to go on.
        :param hosts: Only these destination hosts.
        :return: Deferred[list[StoredEntry]] in order of arrival.
        """

    def late(before, limit):
        """
        :param before: Epoch seconds.
        :param limit: Most entries.
        :return: Deferred[list[StoredEntry]]: queued entries whose deadline is not later.
        """

    def scan(look, channel, held, limit, after):
        """
        Look at a page of entries, in order of arrival, without being in the way of deliveries.

        :param look: Called in a thread of the store for each with the StoredEntry and a function that gives
            the first so many octets of its content (fewer when it is shorter, or cannot be read).
        :return: Deferred[jobctl.store.scanning.Scanned]: what ``look`` gave that is true.
        """

    def summarize():
        """
        :return: Deferred[dict[str, tuple[int, int, int, int, float | None]]]: channel name to (queued,
            of them with a due time in the future, held, octets, oldest enqueued time); channels
            without entries are missing.
        """

    def overdue(hosts):
        """
        :param hosts: Pairs of channel and host.
        :return: Deferred[list[int]]: for each, in this order, its queued entries with a due time not in the future.
        """

    def channels():
        """Deferred[list[str]]: names of the channels that have entries, configured or not."""

    def count_arrived(channel, priority, after, until):
        """
        :return: Deferred[int]: queued (not held) entries of a channel and priority that arrived after the
            one time and not after the other, epoch seconds.
        """

    def history(id):
        """Deferred[list[Attempt]], oldest first; empty when it is gone and no longer remembered."""

    def ledger(counted=True):
        """
        :param counted: ``False`` counts nothing: ``queued`` is what the others say it must be.
        :return: Deferred[dict[str, dict[str, int]]]: channel to recipients counted by
            ``accepted``, ``generated``, each :class:`Loss`, and ``queued`` (counted now).
        """

    def keep_finished(seconds):
        """
        Remember what became of recipients for so long after they left; 0: not at all, the default.

        What was tried for them, :meth:`history`, is kept as long.
        """

    def finished(search, after, limit):
        """
        What became of recipients that have left, in the order they did.

        :param search: jobctl.accounts.history.Search
        :param after: 0, or the number that the last call gave.
        :param limit: Most to return.
        :return: Deferred[tuple[list[Finished], int]]: with the number to go on after; 0: that is all.
        """

    def set_stopped(channel, stopped, author):
        """Remember that an operator stopped (or started) a channel. Deferred[None]."""

    def stopped():
        """Deferred[dict[str, tuple[str, float]]]: stopped channel to (author, since)."""

    def remember(topic, key, value):
        """
        Keep what an operator has set.

        :param topic: Whose it is: ``setting``, for one.
        :param value: JSON text; ``None`` forgets it.
        :return: Deferred[None]
        """

    def remembered(topic):
        """Deferred[dict[str, str]]: key to JSON text."""

    short_of_room = Attribute("True while mail is refused for want of room, as of the last change.")

    def newest():
        """Deferred[str | None]: the id of the entry that came last of those that are there."""

    def write_act(act, oldest=0.0):
        """
        Keep what an operator did, or what has become of it.

        :param act: jobctl.mail.acts.Act; one with the same number is replaced.
        :param oldest: Acts from before that (epoch seconds) are forgotten.
        :return: Deferred[None]
        """

    def remains(id):
        """Deferred[jobctl.mail.remains.Remains | None] of an entry that was set aside; ``None``: it was not."""

    def restore(id):
        """
        Put an entry that was set aside back, because it can be read again.

        :return: Deferred[bool]; ``False``: it was not set aside.
        :raises jobctl.errors.StoreError: (fails) it still cannot be read.
        """

    def give_up(id):
        """
        Remove an entry that was set aside; its recipients count as deleted.

        :return: Deferred[bool]; ``False``: it was not set aside.
        """

    def acts(before=None, limit=100):
        """Deferred[list[Act]]: the newest first; ``before``: only those with a smaller number."""

    def undoable(operation, after=None, limit=100):
        """
        What can be taken back of an operation.

        :param after: Entry id after which to go on.
        :return: Deferred[list[tuple[StoredEntry, Undo]]] in order of arrival; what is gone is left out.
        """

    def lapsed(now, limit=100):
        """
        What can be undone no longer; it stays until a settlement says ``ended``, which may be of an entry
        that is gone.

        :return: Deferred[list[tuple[str, StoredEntry | None, Undo]]]: id, the entry if it is there, and what
            could be done; the earliest first.
        """

    def in_grace(id):
        """Deferred[Undo | None]: how an entry that was deleted or returned can be taken back; else ``None``."""

    def next_lapse():
        """Deferred[float | None]: when the next thing can be undone no longer."""

    def set_host_backoff(channel, host, failures, until, reply):
        """Remember a destination's connection failures; ``failures`` 0 forgets. Deferred[None]."""

    def damaged():
        """Deferred[list[tuple[str, float, str]]]: entries set aside as unreadable: id, when, why."""

    def inspect(id):
        """
        All that is known of one entry, in one look that waits for no list.

        :return: Deferred[tuple | None]: StoredEntry, its history (list[Attempt]), (author, since) of who stopped
            its channel or ``None``, (failures, until, reply) of its destination or ``None``.
        """

    def host_backoffs():
        """Deferred[list[tuple[str, str, int, float, str]]]: channel, host, failures, until, reply."""


class IJobHandler(Interface):
    """Who decides what a job gets and what its words mean: the controller, seen from supervision."""

    def job_spawned(job):
        """The program runs; ``job`` is a :class:`jobctl.jobs.job.Job`."""

    def job_frame(job, frame, content):
        """
        The program said something that the protocol allows.

        :param frame: One of :data:`jobctl.jobprotocol.frames.FROM_PROGRAM`.
        :param content: The octets that followed it (at most 256 KiB), ``b""`` when it has none.
        :raises jobctl.errors.ChannelViolation: Ends the job.
        """

    def job_batch_done(job):
        """All frames that were read in one go have been handed over: a place to act once for many."""

    def job_logged(job, line):
        """A line of its stderr (text, no line end), already written to the log."""

    def job_ended(job, how):
        """
        It is over and all it said has been handed over; called exactly once per spawned job.

        :param how: :class:`jobctl.jobs.job.Ended`, telling exit status or signal, and whether it ever
            greeted and did work.
        """

    def start_failed(spec, why):
        """
        A job could not be started (connection refused, program missing...); no job exists.

        :param why: jobctl.jobs.environment.CannotStart, telling whether the destination is at fault.
        """

    def connection_rejected(spec, transport, why):
        """
        A client's connection was closed before there was a job for it.

        :param spec: Of the slave that it would have got.
        :param transport: The connection, as ``TRANSPORTINFO`` has it.
        :param why: In words, for the log.
        """
