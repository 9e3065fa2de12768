"""Delivery status notifications (RFC 3464): what they say, in which language, and how that is written."""
