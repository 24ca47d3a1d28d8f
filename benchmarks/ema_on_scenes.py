"""The average of a run's weights against the weights themselves, on generated scenes, several seeds.

    python benchmarks/ema_on_scenes.py --out runs/ema [--recipe remax_nano] [--steps 3000] [--seeds 3] [--decay 0.999]
        [--size 193] [--threads 1] [--set FIELD=VALUE ...]

Each seed is one run of each schedule: the recipe's own, whose learning rate ends at 0, and a constant rate, whose
newest weights are noisy. Both kinds of weights come from the same run, so what differs is the average alone. Prints PQ
on 100 unseen scenes of the last weights and of their average, the difference within each seed, and the same at every
validation on the way. Run again, it goes on where it stopped.
"""

import argparse
import json
import statistics
from pathlib import Path

import numpy as np
import torch

from learning import Variant, groups_of, spread
from pantile.data import PanopticDataset, open_dataset
from pantile.engine.checkpoint import LAST, load_checkpoint
from pantile.engine.config import RunConfig
from pantile.engine.evaluate import evaluate
from pantile.engine.train import train
from pantile.visualize.run_log import read_run_log

TRAINING_SCENES, UNSEEN_SCENES = 2000, 100
KINDS = {"weights": "last", "average": "ema-last"}


def measure(config: RunConfig, training_set: PanopticDataset, unseen: PanopticDataset, run: Path) -> dict[str, dict]:
    """{kind of weights: PQ in percent of all, things, stuff}; a run that has a result is not trained again."""
    file = run / "result.json"
    if file.exists():
        return json.loads(file.read_text())
    train(config, training_set, unseen, run, resume=(run / LAST).exists())
    result = {
        kind: groups_of(evaluate(load_checkpoint(run, choice), unseen).to_dict()) for kind, choice in KINDS.items()
    }
    file.write_text(json.dumps(result))
    return result


def on_the_way(run: Path) -> list[tuple[int, float, float]]:
    """(steps made, PQ of the weights, PQ of their average) of each validation, in percent."""
    log = read_run_log(run)
    rows = np.flatnonzero(np.isfinite(log["val/ema_pq"]))
    return [(int(log["step"][k]) + 1, 100 * log["val/pq"][k], 100 * log["val/ema_pq"][k]) for k in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", default="remax_nano")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--decay", type=float, default=0.999)
    parser.add_argument("--size", type=int, default=193, help="of scenes and crops")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="override fields of all runs")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    side = arguments.size
    common = [f"training.steps={arguments.steps}", f"training.average.decay={arguments.decay}"]
    common += ["training.workers=0", "training.validate_every=0.2", "training.validation_images=20"]
    common += [f"augment.crop=[{side},{side}]", f"evaluation_size=[{side},{side}]", *arguments.set]
    training_set = open_dataset(f"scenes:{TRAINING_SCENES},size={side}", "train")
    unseen = open_dataset(f"scenes:{UNSEEN_SCENES},size={side}", "val")
    variants = [
        Variant("annealed", arguments.recipe),
        Variant("constant", arguments.recipe, ("optimizer.schedule=constant",)),
    ]
    for variant in variants:
        results = []
        for seed in range(1, arguments.seeds + 1):
            run = arguments.out / variant.name / f"seed_{seed}"
            results.append(measure(variant.config(*common, f"seed={seed}"), training_set, unseen, run))
            for step, weights, average in on_the_way(run):
                print(
                    f"{variant.name} seed {seed} step {step}: weights {weights:.1f}, average {average:.1f}", flush=True
                )
        print(f"{variant.name}, PQ on {UNSEEN_SCENES} unseen scenes after {arguments.steps} steps, mean (deviation):")
        for kind in KINDS:
            groups = {group: spread([row[kind][group] for row in results]) for group in results[0][kind]}
            print(f"  {kind:8}", "  ".join(f"{group} {told}" for group, told in groups.items()))
        gains = [row["average"]["all"] - row["weights"]["all"] for row in results]
        better = sum(gain > 0 for gain in gains)
        print(
            f"  average minus weights {statistics.mean(gains):+.1f}, better in {better} of {len(gains)} seeds",
            flush=True,
        )


if __name__ == "__main__":
    main()
