"""What header options say of one header field (channels reference 2.5), as settings."""

import msgspec

# The name under which options stand for every field that is not named.
DEFAULTS = "defaults"


class HeaderRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    :ivar field: Name in lower case, or :data:`DEFAULTS`; ``name``: as the file gives it.
    :ivar add: Value of a further field of that name; ``fill``: the same, where there is none.
    :ivar relabel: The name that it gets instead.
    :ivar maximum: How many fields of that name are kept, from above; 0 and less: none.
    :ivar maxlines: How many lines they may have together; 0 and less: they are removed.
    :ivar maxchars: Octets after which each is cut.
    :ivar linelength: Its lines are folded so as not to be longer.
    :ivar precedence: Fields with less go above those with more; 0 is the usual.
    """

    field: str
    name: str
    add: str | None = None
    fill: str | None = None
    relabel: str | None = None
    maximum: int | None = None
    maxlines: int | None = None
    maxchars: int | None = None
    linelength: int | None = None
    precedence: int = 0
