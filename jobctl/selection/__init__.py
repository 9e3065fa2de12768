"""One language that says which messages are meant: in lists, bulk changes, retry rules and hold rules."""
