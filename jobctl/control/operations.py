"""
What stands behind the control socket: one method per operation.

A method's name is the operation's with ``_`` for the dot.  Unless said
otherwise it takes ``(request, caller, stream)`` and gives something JSON can
say (msgspec Structs included), a Deferred of it, or a coroutine.  Raising (or
failing with) :class:`jobctl.errors.UsageError` is the answer to the caller;
``StoreFull``, ``StoreError``, ``ConfigError`` and anything with ``code``,
``status`` and ``text`` (a refusal of mail) are understood too, everything else
is a bug of ours that is logged.  Rights were checked before.
"""

import msgspec
from zope.interface import Attribute, Interface

# zope.interface methods are declared without ``self``.
# mypy: disable-error-code="misc, empty-body, no-untyped-def"


class Caller(msgspec.Struct, frozen=True):
    """
    Who is at the other end of a connection, by what the kernel says.

    :ivar pid: 0 when it is not known.
    :ivar name: Login name, ``uid N`` when it has none.
    :ivar rights: Of ``read`` and ``change``.
    """

    uid: int
    pid: int
    name: str
    rights: frozenset[str]


class IStream(Interface):
    """Answers before the last one.  All methods do nothing once it is ``cancelled``."""

    cancelled = Attribute("True once nobody reads the answers any more: stop what only serves them.")

    def when_cancelled():
        """Deferred[None]: fires when the client goes away or cancels, never when the request just ends."""

    def send(*items):
        """
        List items (``item``), in batches where there are many.

        :return: ``None``, or a Deferred when the reader is slow: wait for it before more is sent.
            Whoever does not wait has the connection dropped at 8 MiB; a reader that does not read for
            60 seconds is dropped too.
        """

    def line(text):
        """A line of text for the terminal (``line``), as :meth:`send`."""

    def progress(value):
        """How far a long operation is (``progress``), as :meth:`send`."""

    def content(data):
        """Octets of a message, in pieces of any size, as :meth:`send`."""


class IReceiver(Interface):
    """One message on its way in."""

    def write(data):
        """
        Further content, with CRLF line ends and no bare CR or LF.

        :return: ``None``, or a Deferred that fires when more is welcome.
        :raises jobctl.errors.StoreFull: And whatever else an operation may raise; it is then over
            and neither :meth:`finish` nor :meth:`abort` is called.
        """

    def finish():
        """The content is complete. Deferred[list[str]]: ids, once durable."""

    def abort():
        """The client gave up; forget it."""


class IAttached(Interface):
    """A job whose pipe is a connection of the control socket."""

    def dataReceived(data):
        """Octets of the job protocol."""

    def connectionLost(reason):
        """The program is gone; ``reason`` is a Failure."""


class IOperations(Interface):
    """Everything that can be asked for; see :mod:`jobctl.control.requests` for the arguments."""

    def ping(request, caller, stream):
        """:return: Anything."""

    def version(request, caller, stream):
        """:return: ``{version, pid, host, started, queue_directory, configuration}``."""

    def enqueue(request, caller):
        """
        :return: :class:`IReceiver` at once, no Deferred.
        :raises jobctl.errors.UsageError: Also an address or a channel that will not do.
        """

    def run(request, caller, stream):
        """
        Sends lines as the dialogue goes on.

        :return: ``{delivered, deferred, failed}``: recipients, when all that was tried has a verdict.
        :raises jobctl.errors.UsageError: With 78 when the channel or its program is not configured rightly.
        """

    def submit(request, caller, stream):
        """:return: ``{channel, started}``: jobs that were started by this."""

    def attach(request, caller, transport):
        """
        :param transport: ITransport and IConsumer; what is written before the answer is sent follows it.
        :return: :class:`IAttached`, or a Deferred of it.
        """

    def reload(request, caller, stream):
        """
        :return: ``{configuration, applied, problems, changes}``: :class:`jobctl.controller.reloads.Outcome`.
        """

    def explain(request, caller, stream):
        """
        :return: ``{id, channel, host, state, sender, recipients, size, priority, attempts, enqueued, last_reply,
            holder, causes, next_attempt, next, expires, at_expiry, at_expiry_where, warnings, notes}``.
        """

    def shutdown(request, caller, stream):
        """:return: ``{pid, started}``; it stops a moment later."""

    def restart(request, caller, stream):
        """
        :return: ``{pid, replaced}``: services and jobs; with ``started`` of the daemon's old life when it
            begins anew.
        """

    def process(request, caller, stream):
        """:return: A list of ``{pid, program, channel, job, role, started}``, the controller first."""

    def cache_view(request, caller, stream):
        """
        :return: As :meth:`qm_directory`: ``{id, channel, host, priority, size, attempts, due, state,
            next_attempt}``.
        """

    def cache_sync(request, caller, stream):
        """:return: ``{stored, memory, differences: [{id, text, mended}]}``; sends progress."""

    def cache_walk(request, caller, stream):
        """:return: ``{lines, debug}``."""

    def cache_change(request, caller, stream):
        """:return: A list of :class:`jobctl.config.overlay.Change`, those made."""

    def cache_revert(request, caller, stream):
        """:return: As :meth:`cache_change`, those taken back."""

    def cache_changes(request, caller, stream):
        """:return: As :meth:`cache_change`, those in force."""

    def ledger(request, caller, stream):
        """
        :return: A list of ``{channel, accepted, generated, delivered, relayed, failed, expired, deleted, moved,
            queued, missing}``: recipients; ``missing`` is 0 where the account balances.
        """

    def history(request, caller, stream):
        """
        :return: As :meth:`qm_directory`: ``{when, what, id, enqueued, channel, host, sender, recipient, size,
            attempts, reply, remote, source, envelope_id, message_id, subject}``, with ``lines`` where ``attempts``
            are asked for; ``when`` is ``None`` for who still waits.
        """

    def counters(request, caller, stream):
        """
        :return: A list of rows as :func:`jobctl.accounts.counting.counter_rows` makes them, one for each channel.
        """

    def counters_clear(request, caller, stream):
        """:return: ``{channels: [...]}``: those that count anew."""

    def top(request, caller, stream):
        """
        :return: ``{now, started, pid, host, version, channels, hosts, jobs, messages}``:
            channels as of :meth:`qm_summarize` with ``{jobs, accepted, delivered, deferred, failed,
            octets}`` since the start; hosts ``{channel, host, active, ready, delayed, until}``; jobs
            ``{job, pid, channel, role, program, started, held, processed, failed, work: [{phase, remote,
            octets, seconds}]}``; messages ``{id, job, channel, host, sender, recipients, attempt, size,
            octets, phase, remote, since}``.
        """

    def qm_summarize(request, caller, stream):
        """
        :return: A list of ``{channel, messages, ready, active, delayed, held, size, oldest, stopped}``,
            one for every channel; ``messages`` counts the held ones too.
        """

    def qm_directory(request, caller, stream):
        """
        Sends items, and gives their number; or gives them as a list.

        :return: ``{id, channel, host, state, sender, recipients, size, priority, attempts, enqueued,
            next_attempt, last_reply}``; sizes in octets, times in epoch seconds, ``recipients``
            addresses, ``priority`` the word.
        """

    def qm_held(request, caller, stream):
        """:return: As :meth:`qm_directory` with ``reason`` added."""

    def qm_top(request, caller, stream):
        """:return: ``{messages, parts: [{part, missed, values: [{count, value}]}]}``; sends progress."""

    def qm_clean(request, caller, stream):
        """
        Sends an item for each message that matches: ``{id, channel, sender, recipients, subject, text}``,
        ``text`` saying why it could not be done, and progress.

        :return: ``{matched, done, failed}``.
        """

    def qm_messages(request, caller, stream):
        """:return: A list of ``{host, active, delayed}``; one with host ``""`` where hosts do not matter."""

    def qm_shares(request, caller, stream):
        """:return: A list of :class:`jobctl.schedule.fairness.Fairness`, channels that have nothing left out."""

    def qm_jobs(request, caller, stream):
        """
        :return: A list of ``{job, pid, channel, role, hosts, messages, processed, failed, started}``;
            ``hosts`` maps host to messages in hand, ``messages`` are the ids in hand.
        """

    def qm_start(request, caller, stream):
        """:return: ``{channels: [...]}`` those that were started; others of the pattern were not stopped."""

    def qm_stop(request, caller, stream):
        """:return: ``{channels: [...]}`` those that are stopped now."""

    def qm_hold(request, caller, stream):
        """
        Sends progress ``{operation, expected, found, done, unchanged, failed}`` where it takes a while.

        :return: ``{done: [ids], failed: [{id, text, exit}], operation, stage, count, unchanged, failures,
            undo_until}``; at most 10,000 ids and 1,000 failures, the numbers count all.  In the background
            ``{operation}`` at once.
        """

    def qm_release(request, caller, stream):
        """:return: As :meth:`qm_hold`."""

    def qm_return(request, caller, stream):
        """:return: As :meth:`qm_hold`."""

    def qm_delete(request, caller, stream):
        """:return: As :meth:`qm_hold`."""

    def qm_retry(request, caller, stream):
        """:return: As :meth:`qm_hold`."""

    def qm_priority(request, caller, stream):
        """:return: As :meth:`qm_hold`."""

    def qm_move(request, caller, stream):
        """:return: As :meth:`qm_hold`."""

    def qm_reroute(request, caller, stream):
        """:return: As :meth:`qm_hold`."""

    def qm_redirect(request, caller, stream):
        """:return: As :meth:`qm_hold`."""

    def undo(request, caller, stream):
        """:return: As :meth:`qm_hold`."""

    def hold_add(request, caller, stream):
        """:return: ``{rule, where, reason, author, since, expires, release, cause}``."""

    def hold_list(request, caller, stream):
        """:return: A list of what :meth:`hold_add` gives."""

    def hold_remove(request, caller, stream):
        """:return: As :meth:`hold_add` with ``released``: null, or as :meth:`qm_release`."""

    def qm_preview(request, caller, stream):
        """:return: ``{count, octets, sample, snapshot, at}``; ``sample`` as :meth:`qm_held`."""

    def qm_operations(request, caller, stream):
        """:return: A list of :class:`jobctl.mail.acts.Act`."""

    def qm_watch(request, caller, stream):
        """Sends progress; :return: as :meth:`qm_hold`."""

    def qm_cancel(request, caller, stream):
        """:return: ``{operation, cancelled}``, once it is over."""

    def qm_audit(request, caller, stream):
        """:return: As :meth:`qm_directory`: :class:`jobctl.mail.acts.Act`."""

    def qm_read(request, caller, stream):
        """
        Sends the entry as one item (as :meth:`qm_held`, with ``envelope_id`` and ``source``), then content.

        :return: ``{octets}`` sent.
        """

    def qm_damaged(request, caller, stream):
        """:return: A list of ``{id, since, why, channel, host, sender, recipients, size, content}``."""

    def qm_salvage(request, caller, stream):
        """:return: As :meth:`qm_hold`, with ``queued``: by id, the ids it is queued under now."""

    def qm_abandon(request, caller, stream):
        """:return: As :meth:`qm_hold`."""

    def qm_history(request, caller, stream):
        """:return: As :meth:`qm_directory`: ``{id, when, what, text, recipient, host, job}``, oldest first."""
