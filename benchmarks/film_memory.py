"""Memory of ``predict`` on a long film.

Claim: the peak of the process does not grow with the length of the film: at the last frame at most 5 % above frame 100.

    python benchmarks/film_memory.py [--frames 2000] [--size 97] [--recipe mask2former_nano]

A generated film, written to an MP4 and read back; a nano model with random weights, which finds next to nothing, so the
tracker is fed with the film's own ground truth; overlay film included. A recipe of a model that reads clips
(``mask2former_video_nano``, ``videomt_nano``) goes through the film by its windows.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from claims import Claims
from pantile.contracts.predictions import Prediction
from pantile.data.film_writer import writing_film
from pantile.data.films import open_films
from pantile.data.video_scenes import VideoScenes
from pantile.engine.task import PanopticTask
from pantile.inference import films as film_runs
from pantile.inference.images import ClipPredictions, predict_clip, predict_frame
from pantile.inference.network import Network
from pantile.inference.tiles import Tiling
from pantile.inference.views import Views
from pantile.predict import Predictor, films
from pantile.recipes import make_recipe


def peak() -> float:
    """MiB, since the start of the process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class TrueSegments:
    """In place of ``predict_frame`` and ``predict_clip``: the network runs, and what it should have said is given.

    Attributes:
        peaks: of each frame, when the network begins with it for the first time.
    """

    def __init__(self, scenes: VideoScenes) -> None:
        self.scenes = scenes
        self.peaks: list[float] = []

    def frame(
        self, network: Network, image: np.ndarray, views: Views, tiling: Tiling | None = None
    ) -> tuple[Prediction, np.ndarray | None]:
        self.peaks.append(peak())
        _, embed = predict_frame(network, image, views, tiling)
        return Prediction(self.scenes.load(len(self.peaks) - 1)[1]), embed

    def clip(
        self, network: Network, images: Sequence[np.ndarray], views: Views, carried: torch.Tensor | None = None
    ) -> ClipPredictions:
        again = network.clips.overlap if self.peaks and carried is None else 0
        first = len(self.peaks) - again
        self.peaks += [peak()] * (len(images) - again)
        clip = predict_clip(network, images, views, carried)
        true = [self._of_queries(first + k) for k in range(len(images))]
        rows = 1 + max(int(one.queries.max()) for one in true)
        return clip._replace(predictions=true, embeds=[np.ones((rows, 4), np.float32)] * len(images))

    def _of_queries(self, number: int) -> Prediction:
        """An id of the film is the number of a query."""
        panoptic = self.scenes.load(number)[1]
        return Prediction(panoptic, queries=np.array([segment.id for segment in panoptic.segments]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--size", type=int, default=97)
    parser.add_argument("--recipe", default="mask2former_nano")
    args = parser.parse_args()
    scenes = VideoScenes(1, args.frames, (args.size // 2 * 2,) * 2)
    config = make_recipe(args.recipe)
    config.evaluation_size = (args.size // 32 * 32,) * 2
    predictor = Predictor(PanopticTask(config, scenes.taxonomy))
    true = TrueSegments(scenes)
    film_runs.predict_frame, film_runs.predict_clip = true.frame, true.clip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        with writing_film(path) as writer:
            for number in range(args.frames):
                writer.add(scenes.load_image(number), number / 25)
        start = time.perf_counter()
        made = films.predict_films(predictor, open_films([path]), Path(folder) / "out")
        seconds = time.perf_counter() - start
    early, late, whole = true.peaks[min(100, args.frames - 1)], true.peaks[args.frames - 1], peak()
    print(f"{args.recipe}: {made.frames['film']} frames of {args.size // 2 * 2} pixels in {seconds:.0f} s")
    print(
        f"peak: {early:.0f} MiB at frame 100, {late:.0f} MiB at the last frame, {whole:.0f} MiB with the overlay film"
    )
    claims = Claims()
    claims.at_most("peak at the last frame / at frame 100", late / early, 1.05)
    claims.finish()


if __name__ == "__main__":
    main()
