"""The frames spoken on a job's two pipes: version 1, its values and its codec."""
