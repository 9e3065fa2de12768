"""Which channel and host an address goes to, and by which rule."""
