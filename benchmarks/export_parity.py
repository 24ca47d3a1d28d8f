"""Families x formats x sizes: does an exported file say what its network says? Exports and compares, one at a time.

    python benchmarks/export_parity.py [--recipes maskformer_nano kmax_nano ...] [--photos DIR] [--precision fp32 fp16]

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
from pantile.engine.config import without_download
from pantile.engine.task import PanopticTask
from pantile.export.checkpoint_export import ExportOptions, export_checkpoint
from pantile.recipes import list_recipes, make_recipe

IMAGES = 2
SUFFIX = {"onnx": ".onnx", "torch": ".pt2"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=[name for name in list_recipes() if name.endswith("_nano")])
    parser.add_argument("--photos", type=Path, help="default: drawn scenes")
    parser.add_argument("--format", nargs="+", choices=SUFFIX, default=["onnx"])
    parser.add_argument("--precision", nargs="+", default=["fp32"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    images = photos(args.photos)
    print(
        "| recipe | format | weights | inputs | size | largest difference, of its output | differing pixels | MiB | s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for recipe in args.recipes:
        checkpoint = untrained(recipe)
        for kind in args.format:
            for precision in args.precision if kind == "onnx" else ["fp32"]:
                for row in rows(recipe, checkpoint, images, ExportOptions(kind, precision)):
                    print(row, flush=True)


def photos(folder: Path | None) -> list[np.ndarray]:
    if folder is None:
        return [Scenes(IMAGES, size=(192, 224)).load(index)[0] for index in range(IMAGES)]
    return [read_image(path) for path in sorted(folder.glob("*.jpg"))[:IMAGES]]


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


def untrained(recipe: str) -> Checkpoint:
    """Of the classes of generated scenes, with no parameter or statistic left at 0 or 1."""
    torch.manual_seed(0)
    config, taxonomy = without_download(make_recipe(recipe)), Scenes(1).taxonomy
    task = PanopticTask(config, taxonomy)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in task.parameters():
            if parameter.ndim < 2:
                parameter.add_(0.3 * torch.rand(parameter.shape, generator=generator) + 0.05)
        for name, buffer in task.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(0.1 * torch.randn(buffer.shape, generator=generator))
            elif name.endswith("running_var"):
                buffer.mul_(1 + 0.3 * torch.rand(buffer.shape, generator=generator))
    state = {k: v for k, v in task.state_dict().items() if k.startswith(("model.", "techniques."))}
    return Checkpoint(Path(f"{recipe} without training"), config, taxonomy, state)


if __name__ == "__main__":
    main()
