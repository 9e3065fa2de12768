"""What the TCP programs are made of: streams, server sessions, client connections."""
