"""Fuzzing of every parser: a function of octets for each, and octets that were interesting."""
