"""How long an exported network takes, beside eager torch: alternating, on one thread and on two.

    python benchmarks/onnx_speed.py CKPT FILE.onnx

The network alone, without reading and merging; torch has its batch norms folded, as in ``predict``.
Prints medians and their ratio.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from pantile.convert.open_checkpoint import open_checkpoint
from pantile.engine.evaluate import load_task
from pantile.export.graph import DeployedNetwork, example_inputs, merged_outside
from pantile.runtime.onnx_file import OnnxFile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("file")
    parser.add_argument("--size", type=int, nargs=2, help="default: the evaluation size")
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    task = load_task(open_checkpoint(args.checkpoint))
    size = tuple(args.size or task.config.evaluation_size)
    network = DeployedNetwork(task, merged_outside(with_queries=True)).eval()
    tensors = example_inputs(task.config.model.in_channels, size, batch=1)
    arrays = [tensor.numpy() for tensor in tensors]
    print("| threads | torch ms | ONNX Runtime ms | ratio |")
    print("|---|---|---|---|")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        file = OnnxFile(args.file, threads)
        with torch.inference_mode():
            eager, exported = alternate(lambda: network(*tensors), lambda f=file: f.run(*arrays), args.rounds)
        print(f"| {threads} | {1e3 * eager:.1f} | {1e3 * exported:.1f} | {exported / eager:.2f} |", flush=True)


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
