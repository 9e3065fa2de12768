"""Mapping tables: patterns and templates, as the access rules of the old system are written in; pure."""
