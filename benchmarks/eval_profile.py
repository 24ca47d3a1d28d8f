"""What `pantile eval` spends on an image beside its network, in processor time.

    python benchmarks/eval_profile.py CKPT --data DATA/facades [--images 40] [--sizes 1024x1024 513x513]
    python benchmarks/eval_profile.py CKPT --data DATA/facades --before TREE    # of another state, in turns

Each measurement is a process of its own: it evaluates two images to warm up, then all of them, and writes their numbers
as `pantile eval --json` does. The seconds of a part are those of its thread, without the parts within it; "rest" is
what the whole process took beyond them (batches, Lightning, other threads). One thread of torch.

Claims: everything but the network takes at most half of the network's own time, and with ``--before``, whose numbers
must be the same to the last digit, at most a quarter of what it took there.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from claims import Claims

NETWORK = "network"
SOURCE = Path(__file__).resolve().parents[1]


class Parts:
    """Processor seconds of the calls that are named, each without those within it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._within = threading.local()

    def of(self, name: str, call: Callable) -> Callable:
        """``call``, measured."""

        def measured(*args: object, **kwargs: object) -> object:
            with self.measured(name):
                return call(*args, **kwargs)

        return measured

    @contextmanager
    def measured(self, name: str):
        stack = self._within.__dict__.setdefault("stack", [])
        start = time.thread_time()
        stack.append(0.0)
        try:
            yield
        finally:
            spent = time.thread_time() - start
            self.seconds[name] += spent - stack.pop()
            if stack:
                stack[-1] += spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--data", required=True, help="a folder of a labelled data set, or `scenes`")
    parser.add_argument("--split", default="val")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--sizes", nargs="+", default=["1024x1024", "513x513"], help="of the network's input")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--before", type=Path, help="a checkout of the state to compare with")
    parser.add_argument("--child", nargs=2, metavar=("SIZE", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        Path(args.child[1]).write_text(json.dumps(measure(args, args.child[0])))
        return
    claims = Claims()
    for size in args.sizes:
        compare(args, size, claims)
    claims.finish()


def compare(args: argparse.Namespace, size: str, claims: Claims) -> None:
    """The states in turns at one input size."""
    states = ({"before": args.before} if args.before else {}) | {"now": SOURCE}
    measured: dict[str, list[dict]] = {name: [] for name in states}
    for _ in range(args.rounds):
        for name, tree in states.items():
            measured[name].append(child(args, size, tree))
    if args.before:
        before, now = (measured[name][0]["numbers"] for name in states)
        differing = [group for group in before if before[group] != now.get(group)]
        claims.at_most(f"{size}: groups of numbers that differ", len(differing), 0)
    names = dict.fromkeys(name for runs in measured.values() for name in runs[0]["parts"])
    print(f"\n{size}, {args.images} images, milliseconds of processor time per image, medians of {args.rounds} rounds")
    print(f"  {'':40s}" + "".join(f"{name:>10s}" for name in states))
    other = {}
    for part in names:
        medians = [median(runs, part) for runs in measured.values()]
        print(f"  {part:40s}" + "".join(f"{1000 * value / args.images:10.1f}" for value in medians))
    for name, runs in measured.items():
        other[name] = statistics.median(sum(run["parts"].values()) - run["parts"][NETWORK] for run in runs)
    print(f"  {'everything but the network':40s}" + "".join(f"{1000 * v / args.images:10.1f}" for v in other.values()))
    walls = (statistics.median(run["wall"] for run in runs) for runs in measured.values())
    print(f"  {'wall time':40s}" + "".join(f"{1000 * value / args.images:10.1f}" for value in walls))
    claims.at_most(f"{size}: everything but the network, of the network", other["now"] / median(measured["now"]), 0.5)
    if args.before:
        claims.at_most(f"{size}: everything but the network, of before", other["now"] / other["before"], 0.25)


def median(runs: list[dict], part: str = NETWORK) -> float:
    return statistics.median(run["parts"].get(part, 0.0) for run in runs)


def child(args: argparse.Namespace, size: str, tree: Path) -> dict:
    """What ``measure`` says of a state, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "measured.json"
        options = ["--data", args.data, "--split", args.split, "--images", str(args.images), "--child", size, str(file)]
        environment = os.environ | {"PYTHONPATH": str(tree.resolve() / "src"), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, args.checkpoint, *options]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return json.loads(file.read_text())


def measure(args: argparse.Namespace, size: str) -> dict:
    """{"parts": seconds by name, "wall": seconds, "numbers": of the evaluation}, of all images together."""
    from dataclasses import replace

    from pantile.cli.eval import write_json
    from pantile.data import open_dataset
    from pantile.engine.checkpoint import load_checkpoint
    from pantile.engine.config import override
    from pantile.engine.evaluate import evaluate

    checkpoint = load_checkpoint(args.checkpoint)
    settings = [f"evaluation_size=[{size.replace('x', ',')}]", "training.workers=0"]
    checkpoint = replace(checkpoint, config=override(checkpoint.config, settings))
    parts = instrumented()
    evaluate(checkpoint, open_dataset(args.data, args.split), 2)
    parts.seconds.clear()
    dataset = open_dataset(args.data, args.split)
    wall, start = time.perf_counter(), time.process_time()
    evaluation = evaluate(checkpoint, dataset, args.images)
    with tempfile.TemporaryDirectory() as folder, parts.measured("writing"):
        write_json(evaluation.to_dict(), Path(folder) / "numbers.json")
    total, wall = time.process_time() - start, time.perf_counter() - wall
    rest = total - sum(parts.seconds.values())
    return {"parts": dict(parts.seconds) | {"rest": rest}, "wall": wall, "numbers": evaluation.to_dict()}


def instrumented() -> Parts:
    """The parts of an evaluation, measured from now on."""
    from pantile.data.evaluation_samples import EvaluationSamples
    from pantile.engine import evaluate
    from pantile.engine.task import PanopticTask
    from pantile.inference import images
    from pantile.metrics import evaluated_batch
    from pantile.metrics.registry import METRICS

    parts = Parts()
    PanopticTask.output_of = parts.of(NETWORK, PanopticTask.output_of)
    images.merge = parts.of("merge", images.merge)
    EvaluationSamples.__getitem__ = parts.of("reading", EvaluationSamples.__getitem__)
    evaluate.load_task = parts.of("weights", evaluate.load_task)
    evaluated_batch.compare_maps = parts.of("comparing maps", evaluated_batch.compare_maps)
    for name, metric in METRICS.items():
        metric.create.update = parts.of(f"{name}, images", metric.create.update)
        metric.create.compute = parts.of(f"{name}, result", metric.create.compute)
    return parts


if __name__ == "__main__":
    main()
