"""Commands that also work while no daemon runs: the daemon is asked, else the queue itself."""

import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from jobctl.commands.context import Context, store_trouble
from jobctl.control.refusals import NoDaemon, unknown_channel
from jobctl.control.selection import matching_channels
from jobctl.errors import StoreError

T = TypeVar("T")


def ask_or_read(
    context: Context,
    op: str,
    keys: dict[str, Any],
    read: Callable[[Any], T],
    ask: Callable[..., T] | None = None,
) -> T:
    """
    The daemon's answer, or what ``read`` makes of the queue when no daemon runs.

    ``-database`` asks the daemon alone, ``-directory_tree`` the queue alone.

    :param ask: How the daemon is asked; ``None``: for one answer.
    :param read: Takes a :class:`jobctl.store.offline.OfflineQueue`.
    """
    if not getattr(context.args, "directory_tree", False):
        try:
            answer: T = (ask or context.call)(op, **keys)
            return answer
        except NoDaemon:
            return read_the_queue(context, read)
    return _read(context, read)


def read_the_queue(context: Context, read: Callable[[Any], T]) -> T:
    """
    To be called when there is no daemon: what ``read`` makes of the queue, and a word about it.

    :raises NoDaemon: The daemon was wanted, or there is no queue of ours; what is being handled.
    """
    if getattr(context.args, "database", False) or not _has_queue(context):
        raise
    print("jobctl: no Job Controller runs; this is from the queue itself", file=sys.stderr)
    return _read(context, read)


def _read(context: Context, read: Callable[[Any], T]) -> T:
    try:
        with context.offline() as store:
            return read(store)
    except StoreError as why:
        raise store_trouble(why) from None


def channels_meant(context: Context, pattern: str) -> list[str]:
    """:raises UsageError: No configured channel is meant."""
    names = matching_channels(pattern, context.settings.channels)
    if not names:
        raise unknown_channel(pattern, context.settings.channels)
    return names


def _has_queue(context: Context) -> bool:
    """A socket given by hand says nothing about where its queue is."""
    if context.args.socket is not None:
        return False
    return os.path.exists(os.path.join(context.settings.controller.queue_directory, "queue.db"))
