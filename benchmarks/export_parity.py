"""Families x formats x sizes: does an exported file say what its network says? Exports and compares, one at a time.

    python benchmarks/export_parity.py [--recipes maskformer_nano kmax_nano ...] [--photos DIR] [--images 2]
        [--precision fp32 fp16]

Weights are untrained, but not trivial: what initialisers set to 0 or 1 is moved, and batch norms have other statistics,
so that no branch is hidden. Writes rows of a Markdown table.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from pantile.contracts.errors import UserError
from pantile.data import Scenes
from pantile.data.image_files import read_image
from pantile.engine.checkpoint import Checkpoint
from pantile.export.checkpoint_export import ExportOptions, export_checkpoint
from pantile.recipes import list_recipes
from untrained import untrained

SUFFIX = {"onnx": ".onnx", "torch": ".pt2"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=[name for name in list_recipes() if name.endswith("_nano")])
    parser.add_argument("--photos", type=Path, help="default: drawn scenes")
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--format", nargs="+", choices=SUFFIX, default=["onnx"])
    parser.add_argument("--precision", nargs="+", default=["fp32"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    images = photos(args.photos, args.images)
    print(
        "| recipe | format | weights | inputs | size | largest difference, of its output | differing pixels | MiB | s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for recipe in args.recipes:
        checkpoint = untrained(recipe)
        for kind in args.format:
            for precision in args.precision if kind == "onnx" else ["fp32"]:
                for row in rows(recipe, checkpoint, images, ExportOptions(kind, precision, compared=args.images)):
                    print(row, flush=True)


def photos(folder: Path | None, count: int) -> list[np.ndarray]:
    if folder is None:
        return [Scenes(count, size=(192, 224)).load(index)[0] for index in range(count)]
    return [read_image(path) for path in sorted(folder.glob("*.jpg"))[:count]]


def rows(recipe: str, checkpoint: Checkpoint, images: list[np.ndarray], options: ExportOptions) -> list[str]:
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{SUFFIX[options.format]}"
        try:
            made = export_checkpoint(checkpoint, path, images, options)
        except UserError as error:
            return [f"| {recipe} | {options.format} | {options.weights} | {error} | | | | | |"]
        size = path.stat().st_size / 2**20
    seconds = time.perf_counter() - start
    found = []
    for parity in made.parities:
        worst = max(parity.outputs.values(), key=lambda pair: pair[0] / max(pair[1], 1e-9))
        columns = (
            recipe,
            options.format,
            options.weights,
            made.header.sizes,
            f"{parity.size[0]} x {parity.size[1]}",
            f"{worst[0]:.1e} of {worst[1]:.3g}",
            f"{parity.differing} of {parity.pixels}",
            f"{size:.1f}",
            f"{seconds:.0f}",
        )
        found.append(f"| {' | '.join(map(str, columns))} |")
    return found


if __name__ == "__main__":
    main()
