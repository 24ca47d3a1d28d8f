"""Exported networks at work: ONNX Runtime, numpy and Pillow, and nothing of torch."""
