"""Checkpoints of the original repositories into ours, and back."""
