"""Splits of a data set that share no content."""
