"""Trained networks at work: from an image to its prediction, by views, tiles and sliding windows."""
