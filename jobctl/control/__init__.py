"""The control socket: its server and its clients."""
