"""Label formats, one file each: what reads it and, where there is a way back, what writes it."""
