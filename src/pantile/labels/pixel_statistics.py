"""Mean and standard deviation of the images, as the network gets them: what ``mean`` and ``std`` of a data set are."""

from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.progress import track

from pantile.data.dataset import PanopticDataset


@dataclass(frozen=True)
class PixelStatistics:
    """
    Attributes:
        mean, std: of each channel over all pixels of all images, on the 0..255 scale.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


def pixel_statistics(dataset: PanopticDataset, progress: bool = False) -> PixelStatistics:
    """Reads every image once, through the reader of training: ``bands`` and ``range`` of ``dataset.yaml`` apply.

    Exact: values are counted, so no sum is rounded.

    Args:
        dataset: with at least one image.
        progress: show a bar on stderr.

    Raises:
        UserError: an image that cannot be read.
    """
    counts = np.zeros((0, 256), dtype=np.int64)
    console = Console(stderr=True)
    for index in track(range(len(dataset)), "images", console=console, disable=not progress):
        image = dataset.load_image(index)
        flat = image.reshape(-1, image.shape[2])
        own = np.stack([np.bincount(flat[:, band], minlength=256) for band in range(flat.shape[1])])
        counts = own if not len(counts) else counts + own
    values = np.arange(256)
    pixels = counts.sum(axis=1)
    mean = counts @ values / pixels
    variance = (counts * (values - mean[:, None]) ** 2).sum(axis=1) / pixels
    return PixelStatistics(tuple(mean.tolist()), tuple(np.sqrt(variance).tolist()))
