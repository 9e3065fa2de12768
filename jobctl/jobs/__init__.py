"""Runs of channel programs: supervision, assignments, and the bridge between stdio and a transport."""
