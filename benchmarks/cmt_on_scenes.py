"""CMT-DeepLab beside MaX-DeepLab and kMaX-DeepLab on generated scenes, nano sizes, each trained for the same time.

    python benchmarks/cmt_on_scenes.py --out runs/cmt [--core-minutes 6] [--seeds 3] [--size 193] [--threads 1]
        [--only NAME ...] [--set FIELD=VALUE ...]

First measures the seconds of one core that a step of each takes, then trains each for as many steps as fit into the
minutes; prints PQ on 100 unseen scenes, and how dense the maps are by which queries gather pixels: the share of an
object's pixels that carries 90 % of the map's weight in it. The paper's contrast is cluster maps (softmax over queries)
of CMT against attention maps (softmax over pixels) of MaX. Run again, it goes on where it stopped.
"""

import argparse
import statistics
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from claims import Claims
from learning import Variant, groups_of, spread, steps_within, train_and_evaluate
from pantile.contracts.outputs import MaskOutput
from pantile.data import PanopticDataset, open_dataset
from pantile.engine.checkpoint import LAST
from pantile.predict.loading import load
from pantile.predict.predictor import Predictor
from pantile.visualize.attention import density

TRAINING_SCENES, UNSEEN_SCENES, LOOKED_AT = 2000, 100, 30
VARIANTS = tuple(Variant(name, name) for name in ("kmax_nano", "max_nano", "cmt_nano"))
COMMON = ("training.workers=0", "training.validate_every=1", "training.validation_images=4")
SMALLEST = 25  # positions at stride 4: an object of fewer says nothing of density


def maps_of(output: MaskOutput) -> dict[str, list[Tensor]]:
    """(N, h, w) each, of the layers: shares of pixels among queries, and of queries' attention among pixels."""
    clusters = [layer.mask_logits[0].softmax(0) for layer in output.layers]
    return {"clusters": clusters, "attention": [maps[0] for maps in output.attention]}


@torch.inference_mode()
def densities(predictor: Predictor, scenes: PanopticDataset, count: int) -> dict[str, float]:
    """Mean over objects and layers, by kind of map. An object's query is the one with most of it in the last masks."""
    values: dict[str, list[float]] = defaultdict(list)
    for index in range(count):
        pixels, truth = scenes.load(index)
        output, placement = predictor.outputs(pixels, layer_outputs=True)
        final = output.mask_logits[0].softmax(0)
        height, width = final.shape[1:]
        ids = F.interpolate(torch.from_numpy(truth.ids)[None, None].float(), placement.content)[0, 0]
        ids = F.interpolate(F.pad(ids, _padding(placement))[None, None], (height, width))[0, 0]
        kinds = {
            kind: [F.interpolate(m[None].float(), (height, width), mode="bilinear")[0] for m in maps]
            for kind, maps in maps_of(output).items()
        }
        for segment in truth.segments:
            inside = ids == segment.id
            if segment.is_crowd or inside.sum() < SMALLEST:
                continue
            query = final[:, inside].sum(1).argmax()
            for kind, maps in kinds.items():
                values[kind] += [density(m[query][inside].numpy()) for m in maps]
    return {kind: float(np.mean(found)) for kind, found in values.items() if found}


def _padding(placement) -> tuple[int, int, int, int]:
    return (0, placement.padded[1] - placement.content[1], 0, placement.padded[0] - placement.content[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--core-minutes", type=float, default=6.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=193, help="of scenes and crops")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=[v.name for v in VARIANTS], default=[v.name for v in VARIANTS])
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="override fields of all recipes")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    side = arguments.size
    overrides = [*COMMON, f"augment.crop=[{side},{side}]", f"evaluation_size=[{side},{side}]", *arguments.set]
    training_set = open_dataset(f"scenes:{TRAINING_SCENES},size={side}", "train")
    unseen = open_dataset(f"scenes:{UNSEEN_SCENES},size={side}", "val")
    variants = [v for v in VARIANTS if v.name in arguments.only]
    steps = {
        v.name: steps_within(arguments.core_minutes, v.config(*overrides), training_set, arguments.out / v.name)
        for v in variants
    }
    print("steps:", steps, flush=True)
    results: dict[str, list[dict[str, float]]] = {v.name: [] for v in variants}
    dense: dict[str, list[dict[str, float]]] = {v.name: [] for v in variants}
    for seed in range(1, arguments.seeds + 1):
        for variant in variants:
            config = variant.config(*overrides, f"seed={seed}", f"training.steps={steps[variant.name]}")
            run = arguments.out / variant.name / f"seed_{seed}"
            results[variant.name].append(groups_of(train_and_evaluate(config, training_set, unseen, run)))
            dense[variant.name].append(densities(load(run / LAST), unseen, LOOKED_AT))
            numbers = results[variant.name][-1] | dense[variant.name][-1]
            print(variant.name, seed, {k: round(v, 3) for k, v in numbers.items()}, flush=True)
    print(f"PQ on {UNSEEN_SCENES} unseen scenes after {arguments.core_minutes:g} core minutes, mean (deviation);")
    print("density of maps in objects, percent of their pixels that carry 90 % of the weight:")
    for name, rows in results.items():
        kinds = {kind: [100 * row[kind] for row in dense[name]] for kind in dense[name][0]}
        print(
            f"  {name:10} {steps[name]:5} steps",
            "  ".join(f"{group} {spread([row[group] for row in rows])}" for group in rows[0]),
            "| density:",
            "  ".join(f"{kind} {spread(found)}" for kind, found in kinds.items()),
            flush=True,
        )
    if {"max_nano", "cmt_nano"} <= set(results):
        hold_claims(results, dense)


def hold_claims(results: dict[str, list[dict[str, float]]], dense: dict[str, list[dict[str, float]]]) -> None:
    claims = Claims()
    mean_pq = {name: statistics.mean(row["all"] for row in rows) for name, rows in results.items()}
    claims.at_least("PQ of CMT above MaX", mean_pq["cmt_nano"] - mean_pq["max_nano"], 0.0)
    clusters = statistics.mean(row["clusters"] for row in dense["cmt_nano"])
    attention = statistics.mean(row["attention"] for row in dense["max_nano"])
    claims.at_least("density of CMT's cluster maps, of MaX's attention maps", clusters / attention, 1.0)
    claims.finish()


if __name__ == "__main__":
    main()
