"""Which clients and servers of others we were run against, and whether each message arrived octet for octet."""
