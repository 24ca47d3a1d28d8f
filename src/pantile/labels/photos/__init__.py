"""The photos that labels belong to: their frames, their copies, and whether two show the same pixels."""
