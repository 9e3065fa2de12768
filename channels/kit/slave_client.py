"""Who is at the other end of a slave's pipe: which connection it is, by which channel it comes in, its name."""

from collections.abc import Callable

from channels.kit.program import Run
from channels.kit.source_channels import SourceChannels, literal, names_client, shows_address
from jobctl.config.settings import ChannelSettings
from jobctl.jobprotocol.frames import Locate, Located
from jobctl.mail.transportinfo import TransportInfo


class SlaveClient:
    """
    What is known of the client; the controller, which has the rules and a resolver, is asked the rest.

    :ivar transport: The connection, as ``TRANSPORTINFO`` or a front end has it.
    """

    def __init__(self, run: Run, sources: SourceChannels, transport: TransportInfo) -> None:
        self._run = run
        self._sources = sources
        self._count = 0
        self.become(transport)

    def become(self, transport: TransportInfo) -> None:
        """It is another; answers about the former one are not heard any more."""
        self.transport = transport
        # ``""``: none, or none that anybody can tell; ``None``: not known so far.
        self._name: str | None = None
        self._name_asked = ""
        self._channel_asked = ""
        self._by_name = False
        self._found: Callable[[ChannelSettings], None] | None = None

    @property
    def address(self) -> str:
        """``""``: not known."""
        return self.transport.remote_ip

    @property
    def locating(self) -> bool:
        """Somebody waits to hear by which channel it comes in."""
        return self._found is not None

    def find_channel(self, found: Callable[[ChannelSettings], None]) -> None:
        """Find out by which channel the client comes in (``switchchannel``); at once where nobody need be asked."""
        if self.address and self._sources.chosen_by_clients and not self._run.link_gone:
            self._found = found
            self._channel_asked = self._ask(literal(self.address))
        else:
            found(self._sources.own)

    def give_up(self) -> None:
        """No answer is waited for: it comes in by the channel of the program."""
        self._tell(self._sources.own)

    def look_up(self, channel: ChannelSettings) -> None:
        """Begin to find out its name, where this channel wants it; nobody waits for that."""
        if names_client(channel):
            self._ask_name()

    def heard(self, frame: Located) -> None:
        """The controller has answered."""
        if frame.id == self._name_asked:
            self._name = frame.name
            if self.locating and self._by_name and not self._channel_asked:
                self._try_name()
        elif frame.id == self._channel_asked:
            self._channel_asked = ""
            own = self._sources.own
            if frame.channel == own.name and not self._by_name and self._sources.chosen_by_name:
                self._by_name = True
                self._try_name()
            else:
                self._tell(self._sources.by_name.get(frame.channel, own))

    def shown(self, channel: ChannelSettings) -> tuple[TransportInfo | None, str | None]:
        """What a Received field of this channel says of it: connection and name, the latter as far as it is known."""
        return (
            self.transport if shows_address(channel) else None,
            self._name or None if names_client(channel) else None,
        )

    def _try_name(self) -> None:
        """The address leads to no other channel: perhaps the name does."""
        if self._name is None:
            self._ask_name()
        elif self._name:
            self._channel_asked = self._ask(self._name)
        else:
            self._tell(self._sources.own)

    def _ask_name(self) -> None:
        if self.address and not self._name_asked:
            self._name_asked = self._ask(literal(self.address), named=True)

    def _ask(self, host: str, named: bool = False) -> str:
        self._count += 1
        id = f"c{self._count}"
        self._run.link.send(Locate(id=id, host=host, named=named))
        return id

    def _tell(self, channel: ChannelSettings) -> None:
        found, self._found = self._found, None
        self._channel_asked = ""
        if found is not None:
            found(channel)
