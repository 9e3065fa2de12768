"""Twisted protocols around the dialogues and frames; the resolver."""
