"""The claim of Intra-Batch Supervision, in small: whole images, crops, crops with the loss, paired crops with the loss.

    python benchmarks/intra_batch.py --out runs/claim [--data DIR/facades] [--steps 700] [--seeds 1 2]
        [--models panoptic_fcn_nano mask2former_nano] [--size 257] [--start runs/start] [--start-steps 2500]
        [--crop-steps 0] [--images 100] [--weight 1] [--threads 1]

Trains every model in four ways with every seed, for the same number of steps, and evaluates whole unseen images: PQ,
pixel accuracy and precision of things, and the confusion curve (the paper's equations 2, 3 and Figure 5). Without
``--data`` on generated scenes of look-alikes. Crops are half as high and wide as the images, and four of them make a
step, of whole images two.

All of a model start from the same weights, trained on whole generated scenes of the size of a crop, without
look-alikes (``--start-steps``; 0 starts from nothing), and then on crops of the data without the loss
(``--crop-steps``). Run again, it goes on where it stopped; processes may share the work by ``--models`` and
``--seeds``.
"""

import argparse
import functools
from pathlib import Path

import matplotlib
import torch

from learning import Variant, groups_of, spread, train_and_evaluate
from pantile.data import PanopticDataset, Scenes, first_images, open_dataset
from pantile.engine.checkpoint import LAST, Checkpoint, load_checkpoint
from pantile.metrics.thing_confusion import THRESHOLDS

matplotlib.use("Agg")
import matplotlib.pyplot as plt

WEIGHTS = {"panoptic_fcn_nano": 1.0, "mask2former_nano": 100.0}  # the paper's
POINTS = {"panoptic_fcn_nano": 0, "mask2former_nano": 1024}  # as many as the mask loss takes
MORE = {"mask2former_nano": ("model.num_queries=64",)}  # a facade has up to 98 segments, on average 29
TWINS = 10


def variants(model: str, size: int, weight: float | None = None) -> list[Variant]:
    """The rows of the table; of the loss's weight None is the paper's."""
    crop = size // 2 + 1
    images = (
        *MORE.get(model, ()),
        f"evaluation_size=[{size},{size}]",
        "augment.scale_range=[0.7,1.4]",
        "augment.pad_position=bottom_right",
        "training.workers=0",
        "training.validate_every=1",
        "training.validation_images=4",
    )
    # for whole images scale 1 fills the crop, for crops half as large it is the same size of the image
    whole = (*images, f"augment.crop=[{size},{size}]", "training.effective_batch=2")
    crops = (*images, f"augment.crop=[{crop},{crop}]", "augment.scale_range=[1.4,2.8]", "training.effective_batch=4")
    loss = (
        f"techniques.intra_batch.weight={WEIGHTS[model] if weight is None else weight}",
        f"techniques.intra_batch.points={POINTS[model]}",
    )
    sizes = [crop // 8, crop // 4, crop // 2]
    pairs = (f"augment.pairs.target_sizes={sizes}", "techniques.intra_batch.partner=pairs")
    return [
        Variant("full images", model, whole),
        Variant("crops", model, crops),
        Variant("crops + IBS, random crops", model, (*crops, *loss)),
        Variant("crops + IBS, paired crops", model, (*crops, *loss, *pairs)),
    ]


def starting_point(
    model: str, arguments: argparse.Namespace, training_set: PanopticDataset, unseen: PanopticDataset
) -> Checkpoint | None:
    """The weights that all of a model start from."""
    start = None
    if arguments.start_steps:
        run = (arguments.start or arguments.out / "start") / model
        start = train_on_scenes(model, arguments.size // 2 + 1, arguments.start_steps, run)
    if arguments.crop_steps:
        crops = next(variant for variant in variants(model, arguments.size) if variant.name == "crops")
        config = crops.config(f"training.steps={arguments.crop_steps}")
        run = arguments.out / "start_on_crops" / model
        train_and_evaluate(config, training_set, unseen, run, init=start)
        start = load_checkpoint(run / LAST)
    return start


def train_on_scenes(model: str, size: int, steps: int, run: Path) -> Checkpoint:
    """What ``steps`` batches of whole ordinary scenes of ``size`` squared left."""
    images = (f"evaluation_size=[{size},{size}]", f"augment.crop=[{size},{size}]", "augment.pad_position=bottom_right")
    plain = Variant("start", model, (*MORE.get(model, ()), *images, "training.workers=0", "training.effective_batch=4"))
    scenes = kept(Scenes(2000, (size, size)))
    config = plain.config(f"training.steps={steps}", "training.validate_every=1", "training.validation_images=4")
    train_and_evaluate(config, scenes, first_images(scenes, 100), run)
    return load_checkpoint(run / LAST)


def kept(dataset: PanopticDataset) -> PanopticDataset:
    """Each image is generated or read once: that takes as long as a quarter of a step."""
    dataset.load = functools.cache(dataset.load)
    return dataset


def data_sets(arguments: argparse.Namespace) -> tuple[PanopticDataset, PanopticDataset]:
    if arguments.data:
        unseen = open_dataset(arguments.data, "val")
        return kept(open_dataset(arguments.data, "train")), first_images(unseen, arguments.images)
    size = (arguments.size, arguments.size)
    return kept(Scenes(1500, size, twins=TWINS)), Scenes(arguments.images, size, split="val", twins=TWINS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--models", nargs="+", default=list(WEIGHTS), choices=list(WEIGHTS))
    parser.add_argument("--size", type=int, default=257)
    parser.add_argument("--start", type=Path, help="folder of the common starts (default: OUT/start)")
    parser.add_argument("--start-steps", type=int, default=2500, help="of ordinary scenes")
    parser.add_argument("--crop-steps", type=int, default=0, help="then of crops of the data, without the loss")
    parser.add_argument("--images", type=int, default=100, help="unseen images (default: 100)")
    parser.add_argument("--weight", type=float, help="of the loss (default: the paper's)")
    parser.add_argument("--variants", nargs="+", metavar="NAME", help="only these rows of the table")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    training_set, unseen = data_sets(arguments)
    starts = {model: starting_point(model, arguments, training_set, unseen) for model in arguments.models}
    results: dict[tuple[str, str], list[dict]] = {}
    for seed in arguments.seeds:
        for model in arguments.models:
            for variant in variants(model, arguments.size, arguments.weight):
                if arguments.variants and variant.name not in arguments.variants:
                    continue
                config = variant.config(f"seed={seed}", f"training.steps={arguments.steps}")
                run = arguments.out / model / variant.name.replace(" ", "_").replace(",", "") / f"seed_{seed}"
                result = train_and_evaluate(config, training_set, unseen, run, init=starts[model])
                results.setdefault((model, variant.name), []).append(result)
                print(seed, model, variant.name, _shown([result]), flush=True)
    print(
        f"{arguments.images} unseen images after {arguments.steps} steps, mean (standard deviation) of seeds, percent:"
    )
    for (model, name), rows in results.items():
        print(f"  {model:18} {name:28}", _shown(rows))
    draw(results, arguments.out / "confusion.png")


def _shown(rows: list[dict]) -> str:
    columns = {f"PQ {group}": [groups_of(r)[group] for r in rows] for group in ("all", "things", "stuff")}
    for name in ("accuracy", "precision"):
        columns[name] = [100 * (r["thing_pixels"][name] or 0.0) for r in rows]
    for percent in (5, 25, 50):
        shares = [r["thing_confusion"]["share_at_percent"][str(percent)] for r in rows]
        columns[f"confused at {percent}%"] = [100 * (share or 0.0) for share in shares]
    return "  ".join(f"{name} {spread(values)}" for name, values in columns.items())


def draw(results: dict[tuple[str, str], list[dict]], path: Path) -> None:
    """The paper's Figure 5: one panel per model, the mean of the seeds with its range."""
    models = list(dict.fromkeys(model for model, _ in results))
    figure, panels = plt.subplots(1, len(models), figsize=(5.5 * len(models), 4), squeeze=False, sharey=True)
    for panel, model in zip(panels[0], models, strict=True):
        for (own, name), rows in results.items():
            if own != model:
                continue
            curves = [
                [100 * (r["thing_confusion"]["share_at_percent"][str(t)] or 0.0) for t in THRESHOLDS] for r in rows
            ]
            low, high = ([pick(values) for values in zip(*curves, strict=True)] for pick in (min, max))
            mean = [sum(values) / len(values) for values in zip(*curves, strict=True)]
            (line,) = panel.plot(THRESHOLDS, mean, marker=".", label=name)
            panel.fill_between(THRESHOLDS, low, high, alpha=0.15, color=line.get_color())
        panel.set(title=model, xlabel="T (% of a thing's pixels)")
        panel.grid(alpha=0.3)
        panel.set_ylim(bottom=0)
    panels[0][0].set_ylabel("predicted things that cover\nmore than T of several (%)")
    handles = panels[0][0].get_legend_handles_labels()
    figure.legend(*handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=len(handles[0]), frameon=False)
    figure.savefig(path, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main()
