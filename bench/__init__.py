"""Measurements beside Postfix, in one run on one machine: ``make bench``."""
