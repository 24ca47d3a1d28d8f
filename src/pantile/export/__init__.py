"""Trained networks as files for other runtimes: written, checked there, and only then left in place."""
