"""What tracking adds to a frame.

Claim: at most 5 % of the forward pass of Mask2Former with a ResNet-50 on the same frame.

    python benchmarks/tracking.py [--size 512 1024]

One thread of torch, processor time. Frames of a generated video, some 10 segments each, with random embeddings of 256
channels.
"""

import argparse
import time
from functools import partial
from statistics import median

import numpy as np
import torch

from claims import Claims
from pantile.contracts.predictions import Prediction
from pantile.data.video_scenes import VideoScenes
from pantile.engine.task import PanopticTask
from pantile.merge.tracking import OverlapTracking, QueryTracking
from pantile.recipes import make_recipe

FRAMES = 12


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, nargs=2, default=(512, 1024))
    args = parser.parse_args()
    torch.set_num_threads(1)
    scenes = VideoScenes(1, FRAMES, tuple(args.size))
    maps = [scenes.load(number)[1] for number in range(FRAMES)]
    config = make_recipe("mask2former_r50_cityscapes")
    config.model.pretrained = False
    task = PanopticTask(config, scenes.taxonomy).eval()
    images = torch.zeros(1, 3, *args.size)
    with torch.inference_mode():
        frame = min(_timed(lambda: task(images)) for _ in range(3))
    claims = Claims()
    for tracking in (OverlapTracking(), QueryTracking()):
        tracker = tracking.make(scenes.taxonomy)
        embed = np.random.default_rng(0).normal(size=(100, 256)).astype(np.float32)
        predictions = [Prediction(m, queries=np.arange(len(m.segments))) for m in maps]
        steps = [_timed(partial(tracker.update, prediction, embed)) for prediction in predictions]
        name = type(tracking).__name__
        print(f"{name}: {1000 * median(steps[1:]):.1f} ms a frame of {args.size}, network {1000 * frame:.0f} ms")
        claims.at_most(f"{name} / network", median(steps[1:]) / frame, 0.05)
    claims.finish()


def _timed(function) -> float:
    start = time.process_time()  # neighbours on the machine do not count
    function()
    return time.process_time() - start


if __name__ == "__main__":
    main()
