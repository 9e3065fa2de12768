"""SASL mechanisms as exchanges, octets in and out, for both sides; and how passwords are kept (RFC 4422)."""
