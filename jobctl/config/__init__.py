"""The configuration file made into checked, frozen settings; every error names file, line and key."""
