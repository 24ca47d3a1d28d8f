"""Memory of ``predict`` on a long film.

Claim: the peak of the process does not grow with the length of the film: at the last frame at most 5 % above frame 100.

    python benchmarks/film_memory.py [--frames 2000] [--size 97]

A generated film, written to an MP4 and read back; a nano model with random weights, which finds next to nothing, so the
tracker is fed with the film's own ground truth; overlay film included.
"""

import argparse
import resource
import tempfile
import time
from itertools import count
from pathlib import Path

from claims import Claims
from pantile.contracts.predictions import Prediction
from pantile.data.film_writer import writing_film
from pantile.data.films import open_films
from pantile.data.video_scenes import VideoScenes
from pantile.engine.task import PanopticTask
from pantile.inference import films as film_runs
from pantile.predict import Predictor, films
from pantile.recipes import make_recipe


def peak() -> float:
    """MiB, since the start of the process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--size", type=int, default=97)
    args = parser.parse_args()
    scenes = VideoScenes(1, args.frames, (args.size // 2 * 2,) * 2)
    config = make_recipe("mask2former_nano")
    config.evaluation_size = (args.size // 32 * 32,) * 2
    predictor = Predictor(PanopticTask(config, scenes.taxonomy))
    real, numbers, peaks = film_runs.predict_frame, count(), {}

    def with_true_segments(network, image, views, tiling=None):
        number = next(numbers)
        peaks[number] = peak()
        _, embed = real(network, image, views, tiling)
        return Prediction(scenes.load(number)[1]), embed

    film_runs.predict_frame = with_true_segments
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        with writing_film(path) as writer:
            for number in range(args.frames):
                writer.add(scenes.load_image(number), number / 25)
        start = time.perf_counter()
        made = films.predict_films(predictor, open_films([path]), Path(folder) / "out")
        seconds = time.perf_counter() - start
    early, late, whole = peaks[min(100, args.frames - 1)], peaks[args.frames - 1], peak()
    print(f"{made.frames['film']} frames of {args.size // 2 * 2} pixels in {seconds:.0f} s")
    print(
        f"peak: {early:.0f} MiB at frame 100, {late:.0f} MiB at the last frame, {whole:.0f} MiB with the overlay film"
    )
    claims = Claims()
    claims.at_most("peak at the last frame / at frame 100", late / early, 1.05)
    claims.finish()


if __name__ == "__main__":
    main()
