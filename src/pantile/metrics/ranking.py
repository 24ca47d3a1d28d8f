"""Average precision of rankings: of the classes of an image, of the images for a class, or of all pairs of both."""

import numpy as np


def average_precision(scores: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Of each row, the mean over its relevant entries of the precision among all entries that rank as high or higher.

    Rows of images over classes give label-ranking average precision (Schapire and Singer, "BoosTexter", 2000), rows of
    classes over images the average precision whose mean is mAP, and one row of all pairs the pooled one.

    Args:
        scores: (R, E); the largest ranks first, of equal ones the first.
        relevant: (R, E) bool.

    Returns:
        (R,) float64, 0..1; NaN for a row without relevant entries.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.take_along_axis(relevant, order, axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    total = hits.sum(axis=1)
    return np.divide((precision * hits).sum(axis=1), total, out=np.full(len(total), np.nan), where=total > 0)
