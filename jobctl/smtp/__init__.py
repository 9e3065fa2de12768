"""SMTP as dialogues without input or output: octets in, events out (RFC 5321)."""
