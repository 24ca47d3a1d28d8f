"""Film strips of the first videos of a data set, tracked: what ``pantile report`` shows of them."""

from collections.abc import Sequence

import numpy as np

from pantile.contracts.videos import Video
from pantile.data import PanopticDataset
from pantile.data.image_files import as_rgb
from pantile.engine.evaluate_videos import predicted_frames
from pantile.inference.films import run_film
from pantile.merge.tracking import OverlapTracking
from pantile.predict.predictor import Predictor
from pantile.visualize.film_strip import film_strip

VIDEOS, FRAMES, SHOWN = 2, 36, 6  # of each video its first frames, of which some are shown


def film_strips(
    predictor: Predictor, dataset: PanopticDataset, videos: Sequence[Video]
) -> list[tuple[str, np.ndarray]]:
    """
    Args:
        predictor: of a model of images or of clips.
        dataset: in the classes of the predictor.
        videos: of the data set.

    Returns:
        (name of the video, picture) of each.
    """
    strips = []
    for video in videos[:VIDEOS]:
        part = Video(video.name, list(video.frames)[:FRAMES])
        run = run_film(predictor.network, OverlapTracking().make(predictor.taxonomy))
        pairs = list(predicted_frames(run, dataset, part))
        images = [as_rgb(dataset.load_image(index)) for index in part.frames]
        rows = {"truth": [truth for _, truth in pairs], "prediction": [tracked.panoptic for tracked, _ in pairs]}
        shown = range(0, len(images), max(1, len(images) // SHOWN))[:SHOWN]
        strips.append((video.name, film_strip(images, rows, predictor.taxonomy, shown)))
    return strips
