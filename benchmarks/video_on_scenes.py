"""Video panoptic segmentation of moving scenes: a model of frames, tracked in each way, and models of clips.

    python benchmarks/video_on_scenes.py --out runs/video [--core-minutes 5] [--seeds 3] [--size 97] [--threads 1]
        [--models mask2former_nano mask2former_video_nano] [--seed-list 1 2 3] [--set FIELD=VALUE ...]

Every model is trained with and without RankSeg, for as many steps as fit into the minutes of one core, and measured on
unseen videos by STQ (AQ, SQ) and VPQ, tracked by overlap and by queries; of models of clips this decides what is found
again after its window. Mean and standard deviation over seeds; ``strip.png`` shows an unseen video with what each made
of it (first seed). Run again, it goes on where it stopped; processes may share the work by --models and --seed-list.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from PIL import Image

from learning import Variant, spread, steps_within
from pantile.contracts.panoptic import PanopticMap
from pantile.data.video_scenes import VideoScenes
from pantile.engine.checkpoint import LAST, Checkpoint, load_checkpoint
from pantile.engine.config import RunConfig
from pantile.engine.evaluate import load_task
from pantile.engine.evaluate_videos import evaluate_videos, predicted_frames
from pantile.engine.train import train
from pantile.inference.films import run_film
from pantile.merge.tracking import TRACKERS
from pantile.visualize.film_strip import film_strip

MODELS = ("mask2former_nano", "mask2former_video_nano", "videomt_nano")
TRACKINGS = ("overlap", "queries")
TRAINING_VIDEOS, FRAMES, SHOWN = 200, 12, 6
COMMON = ("training.workers=0", "training.validation_images=0")
RANKSEG = ("techniques.rankseg.selected=8", "techniques.rankseg.channels=64")


def variants(model: str) -> list[Variant]:
    return [Variant(model, model), Variant(f"{model} + rankseg", model, RANKSEG)]


def folder_of(out: Path, variant: Variant) -> Path:
    return out / variant.name.replace(" + ", "_")


def trained(config: RunConfig, videos: VideoScenes, run: Path) -> Checkpoint:
    """A finished run is not trained again, an interrupted one goes on."""
    done = run / "minutes.json"
    if not done.exists():
        start = time.monotonic()
        train(config, videos, videos, run, resume=(run / LAST).exists())
        done.write_text(json.dumps((time.monotonic() - start) / 60))
    return load_checkpoint(run / LAST)


def measured(checkpoint: Checkpoint, unseen: VideoScenes, tracking: str, run: Path) -> dict[str, float]:
    """In percent."""
    file = run / f"{tracking}.json"
    if not file.exists():
        results = evaluate_videos(checkpoint, unseen, tracking).results
        stq, vpq = results["stq"].all, results["vpq"].all
        numbers = {"STQ": stq.stq, "AQ": stq.aq, "SQ": stq.sq, "VPQ": vpq.pq}
        file.write_text(json.dumps({name: 100 * value for name, value in numbers.items()}))
    return json.loads(file.read_text())


def predicted(checkpoint: Checkpoint, unseen: VideoScenes, tracking: str) -> list[PanopticMap]:
    """The maps of the first video."""
    network = load_task(checkpoint).network
    run = run_film(network, TRACKERS[tracking]().make(network.taxonomy))
    return [tracked.panoptic for tracked, _ in predicted_frames(run, unseen, unseen.videos[0])]


def draw(rows: dict[str, list[PanopticMap]], unseen: VideoScenes, path: Path) -> None:
    frames = [unseen.load(index) for index in unseen.videos[0].frames]
    truth = {"truth": [panoptic for _, panoptic in frames]}
    shown = range(0, FRAMES, FRAMES // SHOWN)
    strip = film_strip([image for image, _ in frames], truth | rows, unseen.taxonomy, shown)
    Image.fromarray(strip).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--core-minutes", type=float, default=5.0)
    parser.add_argument("--steps", type=int, help="in place of --core-minutes")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed-list", type=int, nargs="+", help="only these (default: 1 to --seeds)")
    parser.add_argument("--unseen", type=int, default=12, help="videos to measure on")
    parser.add_argument("--size", type=int, default=97, help="of frames and crops")
    parser.add_argument("--models", nargs="+", default=list(MODELS[:2]), choices=list(MODELS))
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="override fields of all recipes")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    side = arguments.size
    overrides = [*COMMON, f"augment.crop=[{side},{side}]", f"evaluation_size=[{side},{side}]", *arguments.set]
    videos = VideoScenes(TRAINING_VIDEOS, FRAMES, (side, side), split="train")
    unseen = VideoScenes(arguments.unseen, FRAMES, (side, side), split="val")
    chosen = [variant for model in arguments.models for variant in variants(model)]
    results: dict[str, list[dict[str, float]]] = {}
    strip: dict[str, list[PanopticMap]] = {}
    steps = {
        v.name: arguments.steps
        or steps_within(arguments.core_minutes, v.config(*overrides), videos, folder_of(arguments.out, v))
        for v in chosen
    }
    print("steps:", steps, flush=True)
    for seed in arguments.seed_list or range(1, arguments.seeds + 1):
        for variant in chosen:
            run = folder_of(arguments.out, variant) / f"seed_{seed}"
            config = variant.config(*overrides, f"seed={seed}", f"training.steps={steps[variant.name]}")
            checkpoint = trained(config, videos, run)
            for tracking in TRACKINGS:
                name = f"{variant.name}, {tracking}"
                numbers = measured(checkpoint, unseen, tracking, run)
                results.setdefault(name, []).append(numbers)
                if name not in strip:
                    strip[name] = predicted(checkpoint, unseen, tracking)
                print(name, f"seed {seed}:", {k: round(v, 1) for k, v in numbers.items()}, flush=True)
    draw(strip, unseen, arguments.out / "strip.png")
    print(f"{arguments.unseen} unseen videos of {FRAMES} frames of {side} pixels, percent, mean (deviation) of seeds:")
    for name, rows in results.items():
        print(f"  {name:44}", "  ".join(f"{key} {spread([row[key] for row in rows])}" for key in rows[0]))


if __name__ == "__main__":
    main()
