"""Splits of a data set that share no content, parts of one, and several as one."""
