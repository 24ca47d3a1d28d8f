"""What is wrong with a folder of panoptic labels, and a copy without it."""
