"""Every channel keyword, in one table."""

from jobctl.config.keys import Key, KeyTable
from jobctl.config.keywords_content import CONTENT, NOTICES
from jobctl.config.keywords_protocol import PROTOCOL
from jobctl.config.keywords_queue import LIMITS, NAMES, QUEUE
from jobctl.config.keywords_security import SECURITY

# By the chapters under which the manual shows them.
CHAPTERS: dict[str, tuple[Key, ...]] = {
    "Names and programs": NAMES,
    "Protocol and next hop": PROTOCOL,
    "TLS, authentication, filters": SECURITY,
    "Copies, jobs, retries": QUEUE,
    "Limits on incoming mail": LIMITS,
    "Content, addresses, headers": CONTENT,
    "Notification, logging, debugging": NOTICES,
}
KEYWORDS = KeyTable("keyword", *CHAPTERS.values())
# No two channels share these: there is no place for them in [defaults].
NOT_FOR_DEFAULTS = frozenset({"official_host_name", "additional_host_names", "maildir"})
