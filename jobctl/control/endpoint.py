"""The control socket as one object: opened when the daemon is ready, closed when it stops."""

from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from jobctl.config.settings import JobControllerSettings
from jobctl.control.listener import ControlPort, listen
from jobctl.control.peer import daemon_rights
from jobctl.control.server import ControlFactory


class ControlEndpoint:
    """
    Serves the operations at ``control_socket``.

    :param operations: :class:`jobctl.control.operations.IOperations`
    """

    def __init__(self, reactor: Any, operations: Any, settings: JobControllerSettings) -> None:
        self._reactor = reactor
        self._operations = operations
        self._settings = settings
        self._port: ControlPort | None = None
        self._factory: ControlFactory | None = None

    def open(self) -> None:
        """
        Begin to listen.

        :raises ConfigError: The place or the group will not do.
        :raises StoreBusy: Another daemon answers there.
        """
        settings = self._settings
        rights = daemon_rights(settings.control_group, settings.control_readers)
        self._factory = ControlFactory(self._operations, rights, self._reactor)
        self._port = listen(self._reactor, settings.control_socket, self._factory, rights.group)

    def close(self) -> Deferred[None]:
        """Listen no more and end every connection; may be called twice."""
        port, self._port = self._port, None
        if self._factory is not None:
            self._factory.drop_all()
        return maybeDeferred(port.stopListening) if port is not None else maybeDeferred(lambda: None)
