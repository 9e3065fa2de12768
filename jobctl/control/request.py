"""What all requests of the control socket have in common."""

from typing import ClassVar

import msgspec

from jobctl.jobprotocol.frames import PIECE

READ = "read"
CHANGE = "change"


class Request(msgspec.Struct, tag_field="op", frozen=True, omit_defaults=True, kw_only=True):
    """
    :cvar right: What the caller must be allowed: :data:`READ` or :data:`CHANGE`.
    :ivar id: Comes back with every answer; not used by two open requests of a connection.
    :ivar size: Octets of content that follow the line, at most :data:`PIECE`.
    """

    right: ClassVar[str] = READ
    id: int = 0
    size: int = 0

    @property
    def op(self) -> str:
        """The operation's name, ``qm.stop``."""
        return str(self.__struct_config__.tag)


__all__ = ["CHANGE", "PIECE", "READ", "Request"]
