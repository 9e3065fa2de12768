"""Channel programs, one module each, and the kit they are built on."""
