"""How long an exported network takes, beside eager torch: alternating, on one thread and on two.

    python benchmarks/onnx_speed.py CKPT FILE.onnx
    python benchmarks/onnx_speed.py kmax_r50_coco [--size 641 641] [--precision fp32] [--profile]

The network alone, without reading and merging; torch has its batch norms folded, as in ``predict``. A recipe's network
is untrained and exported first, at the size. Prints medians and their ratio; ``--profile`` also what the runtime spends
on each kind of operator.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch

from pantile.convert.open_checkpoint import open_checkpoint
from pantile.data import Scenes
from pantile.engine.evaluate import load_task
from pantile.export.checkpoint_export import ExportOptions, export_checkpoint
from pantile.export.graph import DeployedNetwork, example_inputs, merged_outside
from pantile.recipes import list_recipes
from pantile.runtime.onnx_file import OnnxFile
from untrained import untrained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a checkpoint or a recipe")
    parser.add_argument("file", nargs="?", help="exported from the checkpoint (default: exported now)")
    parser.add_argument("--size", type=int, nargs=2, help="default: the evaluation size")
    parser.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="fp32", help="of what is exported now")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    checkpoint = untrained(args.model) if args.model in list_recipes() else open_checkpoint(args.model)
    task = load_task(checkpoint)
    size = tuple(args.size or task.config.evaluation_size)
    network = DeployedNetwork(task, merged_outside(with_queries=True)).eval()
    tensors = example_inputs(task.config.model.in_channels, size, batch=1)
    arrays = [tensor.numpy() for tensor in tensors]
    with tempfile.TemporaryDirectory() as folder:
        path = args.file or str(Path(folder) / "model.onnx")
        if not args.file:
            options = ExportOptions(weights=args.precision, size=size, pixels=1.0)
            export_checkpoint(checkpoint, Path(path), [Scenes(1, size=size).load(0)[0]], options)
        print("| threads | torch ms | ONNX Runtime ms | ratio |")
        print("|---|---|---|---|")
        for threads in (1, 2):
            torch.set_num_threads(threads)
            file = OnnxFile(path, threads)
            with torch.inference_mode():
                eager, exported = alternate(lambda: network(*tensors), lambda f=file: f.run(*arrays), args.rounds)
            print(f"| {threads} | {1e3 * eager:.1f} | {1e3 * exported:.1f} | {exported / eager:.2f} |", flush=True)
        if args.profile:
            print_operators(path, arrays, Path(folder))


def print_operators(path: str, arrays: list, folder: Path) -> None:
    """Milliseconds of one thread for each kind of operator, the dearest first."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.enable_profiling = 1, True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = dict(zip([i.name for i in session.get_inputs()], arrays, strict=True))
    for _ in range(2):
        session.run(None, inputs)
    events = json.loads(Path(session.end_profiling()).read_text())
    nodes = [e for e in events if e["cat"] == "Node" and e["name"].endswith("_kernel_time")]
    spent = Counter()
    for event in nodes[len(nodes) // 2 :]:  # the second run
        spent[event["args"]["op_name"]] += event["dur"] / 1e3
    print("\n| operator | ms |\n|---|---|")
    for name, milliseconds in spent.most_common(8):
        print(f"| {name} | {milliseconds:.1f} |")


def alternate(one: Callable[[], object], other: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Medians in seconds, after a round that does not count."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for function, seconds in zip((one, other), times, strict=True):
            start = time.perf_counter()
            function()
            if number:
                seconds.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


if __name__ == "__main__":
    main()
