"""Class lists of data sets whose folders do not carry one."""
