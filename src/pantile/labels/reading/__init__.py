"""What several formats read with: class lists, pairs of folders, shapes, run lengths, XML."""
