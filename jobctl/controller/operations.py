"""What the control socket can ask of the Job Controller."""

import os
import socket
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from jobctl import __version__
from jobctl.config.settings import ChannelSettings
from jobctl.control.operations import Caller, IOperations
from jobctl.control.refusals import unknown_channel
from jobctl.control.requests import Attach, Enqueue, Reload, Run, Submit
from jobctl.controller.changes import Changes
from jobctl.controller.enqueue import Receiver, receiver
from jobctl.controller.explanations import Explanations
from jobctl.controller.history import Histories
from jobctl.controller.looks import Looks
from jobctl.controller.monitor import Monitor
from jobctl.controller.reloads import Outcome
from jobctl.controller.runs import Runs
from jobctl.controller.salvage import Salvage
from jobctl.controller.searches import Searches
from jobctl.controller.verification import Verification
from jobctl.errors import UsageError


@implementer(IOperations)
class Operations:
    """
    Joins the operations; those of the queue are in :class:`Looks` and :class:`Changes`.

    :param controller: :class:`jobctl.controller.controller.Controller`
    """

    def __init__(self, controller: Any) -> None:
        self._at = controller
        self._runs = Runs(controller)
        looks = Looks(controller)
        changes = Changes(controller, looks)
        searches = Searches(controller, looks, changes)
        self.qm_summarize = looks.qm_summarize
        self.qm_directory = looks.qm_directory
        self.qm_held = looks.qm_held
        self.qm_top = searches.qm_top
        self.qm_clean = searches.qm_clean
        self.qm_messages = looks.qm_messages
        self.qm_jobs = looks.qm_jobs
        self.qm_shares = looks.qm_shares
        self.qm_history = looks.qm_history
        self.qm_read = looks.qm_read
        salvage = Salvage(controller)
        self.qm_damaged = salvage.qm_damaged
        self.qm_salvage = salvage.qm_salvage
        self.qm_abandon = salvage.qm_abandon
        self.cache_view = looks.cache_view
        monitor = Monitor(controller, looks)
        self.top = monitor.top
        verification = Verification(controller)
        self.cache_sync = verification.cache_sync
        self.cache_walk = verification.cache_walk
        self.cache_change = controller.live_changes.cache_change
        self.cache_revert = controller.live_changes.cache_revert
        self.cache_changes = controller.live_changes.cache_changes
        self.shutdown = controller.process_control.shutdown
        self.restart = controller.process_control.restart
        self.process = looks.process
        self.ledger = looks.ledger
        self.counters = controller.counters.counters
        self.counters_clear = controller.counters.counters_clear
        self.history = Histories(controller, looks).history
        self.explain = Explanations(controller, monitor).explain
        self.qm_start = changes.qm_start
        self.qm_stop = changes.qm_stop
        self.qm_hold = changes.qm_hold
        self.qm_release = changes.qm_release
        self.qm_return = changes.qm_return
        self.qm_delete = changes.qm_delete
        self.qm_retry = changes.qm_retry
        self.qm_priority = changes.qm_priority
        self.qm_move = changes.qm_move
        self.qm_reroute = changes.qm_reroute
        self.qm_redirect = changes.qm_redirect
        self.qm_preview = changes.qm_preview
        self.qm_operations = changes.qm_operations
        self.qm_watch = changes.qm_watch
        self.qm_cancel = changes.qm_cancel
        self.qm_audit = changes.qm_audit
        self.undo = changes.undo
        self.hold_add = changes.hold_rules.hold_add
        self.hold_list = changes.hold_rules.hold_list
        self.hold_remove = changes.hold_rules.hold_remove
        self.changes = changes

    def ping(self, request: Any, caller: Caller, stream: Any) -> str:
        return "jobctl"

    def version(self, request: Any, caller: Caller, stream: Any) -> dict[str, Any]:
        settings = self._at.settings
        return {
            "version": __version__,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": self._at.started,
            "queue_directory": settings.controller.queue_directory,
            "configuration": settings.path,
        }

    async def reload(self, request: Reload, caller: Caller, stream: Any) -> Outcome:
        outcome: Outcome = await self._at.reloads.reload(caller.name, request.dry_run)
        return outcome

    def enqueue(self, request: Enqueue, caller: Caller) -> Receiver:
        return receiver(self._at, request, caller)

    def run(self, request: Run, caller: Caller, stream: Any) -> Deferred[dict[str, int]]:
        run = self._runs.begin(self._channel(request.channel), stream, request.poll)
        stream.when_cancelled().addCallback(lambda _: self._runs.give_up(run))
        return run.done

    def begin_run(self, channel: ChannelSettings, stream: Any) -> Deferred[dict[str, int]]:
        """As :meth:`run`, for those inside: ``stream`` needs ``line`` alone."""
        return self._runs.begin(channel, stream, poll=False).done

    def submit(self, request: Submit, caller: Caller, stream: Any) -> dict[str, Any]:
        channel = self._channel(request.channel)
        polled = int(request.poll and bool(channel.master_command))
        if polled:
            self._at.start_job(channel.name, None, None)
        return {"channel": channel.name, "started": polled + self._at.dispatch.decide_now(channel.name)}

    def attach(self, request: Attach, caller: Caller, transport: Any) -> Any:
        channel = self._channel(request.channel)
        if request.role not in ("master", "slave"):
            raise UsageError(f"a job's role is master or slave, not {request.role}")
        if request.role == "slave":
            return self._at.attach(channel, "slave", None, transport, caller)
        run = self._runs.enter(channel.name, None, starts=False)
        try:
            return self._at.attach(channel, "master", run.name, transport, caller)
        except Exception:
            self._runs.give_up(run)
            raise

    def _channel(self, name: str) -> ChannelSettings:
        channel: ChannelSettings | None = self._at.settings.channels.get(name)
        if channel is None:
            raise unknown_channel(name, self._at.settings.channels)
        return channel
