"""`pantile predict` from file to file: stages that overlap against one image after the other, in turns in one process.

    python benchmarks/predict_overlap.py CKPT_OR_FILE PHOTOS [--images 40] [--rounds 2] [--threads 1]

One after the other: the next image is read while the network works, but an image is merged, drawn and written before
the network sees the next one. The claim is at most 0.6 of that wall time on two cores. Overlapping needs a second core,
so wall times on a machine that others use say little: CPU time and load are printed beside them, and what each stage
takes alone, from which the least possible share follows.
"""

import argparse
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import patch

import torch

import pantile
from claims import Claims
from pantile.predict import find_images, predict_files
from pantile.predict.images import ImageFile
from pantile.predict.protocol import ImagePredictor
from pantile.predict.stages import overlapping


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    predictor, images = pantile.load(args.model), find_images([args.photos])[: args.images]
    seconds: dict[str, list[tuple[float, float]]] = {"one after the other": [], "overlapping": []}
    job(predictor, images[:2], overlapping)
    for _ in range(args.rounds):
        for name, stages in (("one after the other", one_after_the_other), ("overlapping", overlapping)):
            seconds[name].append(job(predictor, images, stages))
            wall, cpu = seconds[name][-1]
            load = os.getloadavg()[0]
            print(f"{name:20} {wall:6.1f} s, {cpu:6.1f} s of CPU time; load average {load:.1f}", flush=True)
    alone = show_stages(predictor, images)
    print(f"least possible on two cores: {max(alone['network'], sum(alone.values()) / 2) / sum(alone.values()):.2f}")
    best = {name: min(wall for wall, _ in walls) for name, walls in seconds.items()}
    claims = Claims()
    claims.at_most("overlapping / one after the other", best["overlapping"] / best["one after the other"], 0.6)
    claims.finish()


def job(predictor: ImagePredictor, images: Sequence[ImageFile], stages: Callable) -> tuple[float, float]:
    """Wall and CPU seconds."""
    with tempfile.TemporaryDirectory() as folder, patch("pantile.predict.files.overlapping", stages):
        start, cpu = time.perf_counter(), time.process_time()
        predict_files(predictor, images, Path(folder) / "out")
        return time.perf_counter() - start, time.process_time() - cpu


def one_after_the_other(items: Sequence, read: Callable, infer: Callable, finish: Callable) -> Iterator:
    with ThreadPoolExecutor(1) as reader:
        ahead = deque(reader.submit(read, item) for item in items[:1])
        for index, item in enumerate(items):
            value = ahead.popleft().result()
            ahead.extend(reader.submit(read, following) for following in items[index + 1 : index + 2])
            yield item, finish(item, value, infer(value))


def show_stages(predictor: ImagePredictor, images: Sequence[ImageFile]) -> dict[str, float]:
    """CPU seconds of each stage alone."""
    spent = dict.fromkeys(("reading", "network", "merge and writing"), 0.0)

    def timed(name: str, function: Callable) -> Callable:
        def call(*values):
            start = time.process_time()
            found = function(*values)
            spent[name] += time.process_time() - start
            return found

        return call

    def in_turn(items: Sequence, read: Callable, infer: Callable, finish: Callable) -> Iterator:
        read, infer, finish = (timed(*pair) for pair in zip(spent, (read, infer, finish), strict=True))
        for item in items:
            value = read(item)
            yield item, finish(item, value, infer(value))

    job(predictor, images, in_turn)
    print(", ".join(f"{name} {1000 * s / len(images):.0f} ms" for name, s in spent.items()), "of CPU time an image")
    return spent


if __name__ == "__main__":
    main()
