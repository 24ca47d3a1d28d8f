"""Whether two photos show the same pixels."""

import hashlib

import numpy as np


def content_hash(image: np.ndarray) -> str:
    """Of size and decoded pixels: the same photo saved under another name or in another lossless format."""
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=20)
    digest.update(np.ascontiguousarray(image))
    return digest.hexdigest()
