"""Peak memory and time of predicting large images, and what tiling does to panoptic quality.

Claim: an image of 8192 x 8192 is predicted under 4 GB with tiles of 1024 that overlap by 128.

    python benchmarks/tiled_prediction.py                               # memory, random weights of a nano model
    python benchmarks/tiled_prediction.py --format tif                  # memory of a tiled TIFF, read by windows
    python benchmarks/tiled_prediction.py --run RUN                     # memory, trained weights
    python benchmarks/tiled_prediction.py --run RUN --data DIR          # and PQ, tiled against whole images
    python benchmarks/tiled_prediction.py --run RUN --data DIR --side 0 # PQ alone

Peaks are of resident memory of whole processes: `pantile predict`, which reads, predicts and writes map and overlay,
and `pantile eval`. Random weights run with thresholds that let every query speak, the worst case for stitching.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from claims import Claims

VERB = """
import resource, sys
from pantile.cli.main import main
code = main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(code)
"""


def measured(arguments: list) -> tuple[float, float]:
    """Runs a verb in a process of its own: seconds and peak in MiB.

    On Linux a child starts with its parent's peak, so this script itself imports nothing large.
    """
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", VERB, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"pantile {' '.join(map(str, arguments))} failed")
    return time.perf_counter() - start, int(done.stdout.rsplit("peak", 1)[1]) / 1024


def prepare(folder: Path, recipe: str, side: int, whole: list[int], suffix: str, speaking: bool) -> None:
    """Random weights, one image of side x side, and a data set of two images of the whole size."""
    from dataclasses import replace

    import numpy as np
    import torch
    from PIL import Image

    from pantile.data import Scenes, write_coco_panoptic
    from pantile.engine.checkpoint import save_weights
    from pantile.engine.task import PanopticTask
    from pantile.merge import CenterMergeConfig, MaskMergeConfig, QueryMergeConfig
    from pantile.recipes import make_recipe

    thresholds = {
        MaskMergeConfig: {"thing_class_threshold": 0.0, "stuff_class_threshold": 0.0, "overlap": 0.0},
        QueryMergeConfig: {"object_threshold": 0.0, "overlap_threshold": 0.0},
        CenterMergeConfig: {"center_threshold": 0.0},
    }
    torch.manual_seed(0)
    config = make_recipe(recipe)
    if speaking:
        config.merge = replace(config.merge, **thresholds[type(config.merge)])
    config.evaluation_size = (whole[0], whole[1])
    config.training.workers = 0
    scenes = Scenes(8, size=(512, 512), seed=0)
    task = PanopticTask(config, scenes.taxonomy)
    for name, parameter in task.model.named_parameters():
        if "class" in name:  # queries of an untrained model otherwise all say the same
            torch.nn.init.normal_(parameter, std=1.0)
    state = {f"model.{name}": tensor for name, tensor in task.model.state_dict().items()}
    save_weights(folder / "random.safetensors", state, config, scenes.taxonomy, step=0)
    write_coco_panoptic(Scenes(2, size=(whole[0], whole[1]), seed=1), folder / "data", "val")
    if side and suffix == "tif":
        write_tiff(folder / "large.tif", [scenes.load(i)[0] for i in range(len(scenes))], side)
    elif side:
        squares = [scenes.load(i)[0] for i in range(len(scenes))]
        count = -(-side // 512)
        rows = [np.concatenate([squares[(3 * r + c) % 8] for c in range(count)], axis=1) for r in range(count)]
        Image.fromarray(np.concatenate(rows)[:side, :side]).save(folder / "large.jpg", quality=90)


def write_tiff(path: Path, squares: list, side: int) -> None:
    """A tiled TIFF of side x side, of the pictures of 512 x 512 in turn; written tile by tile."""
    import rasterio
    from rasterio.windows import Window

    count = -(-side // 512)
    layout = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "photometric": "RGB"}
    with rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=3, dtype="uint8", crs="EPSG:32632",
        transform=rasterio.Affine(0.2, 0, 5e5, 0, -0.2, 5e6), **layout,
    ) as file:  # fmt: skip
        for row in range(count):
            for column in range(count):
                height, width = min(512, side - 512 * row), min(512, side - 512 * column)
                pixels = squares[(3 * row + column) % len(squares)][:height, :width]
                file.write(pixels.transpose(2, 0, 1), window=Window(512 * column, 512 * row, width, height))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a trained run, for the PQ and instead of random weights")
    parser.add_argument("--data", type=Path, help="labelled images for the PQ")
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int, default=20, help="images for the PQ")
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="for both evaluations")
    parser.add_argument("--recipe", default="mask2former_nano", help="of the random weights")
    parser.add_argument("--side", type=int, default=8192, help="of the large image; 0 leaves the memory out")
    parser.add_argument("--format", choices=("jpg", "tif"), default="jpg", help="of the large image")
    parser.add_argument("--own-thresholds", action="store_true", help="random weights find next to nothing under them")
    parser.add_argument("--whole", type=int, nargs=2, default=[1024, 2048], help="also without tiles; 0 0: not")
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--overlap", type=int, default=128)
    parser.add_argument("--tile-scale", help="as of the verbs")
    parser.add_argument("--no-overlays", action="store_true")
    parser.add_argument("--prepare", type=Path, help="used by the script itself")
    arguments = parser.parse_args()
    if arguments.prepare:
        prepare(
            arguments.prepare,
            arguments.recipe,
            arguments.side,
            arguments.whole,
            arguments.format,
            not arguments.own_thresholds,
        )
        return
    tiles = ["--tile", arguments.tile, "--overlap", arguments.overlap]
    if arguments.tile_scale:
        tiles += ["--tile-scale", arguments.tile_scale]
    with tempfile.TemporaryDirectory() as temporary:
        claims = Claims()
        measure_memory(arguments, tiles, Path(temporary), claims)
        if arguments.run and arguments.data:
            measure_quality(arguments, tiles, Path(temporary))
        claims.finish()


def measure_memory(arguments: argparse.Namespace, tiles: list, folder: Path, claims: Claims) -> None:
    whole, side = arguments.whole, arguments.side
    if not side and not whole[0]:
        return
    sizes = ["--side", side, "--whole", *(whole if whole[0] else (64, 64))]
    command = [sys.executable, __file__, "--prepare", folder, "--recipe", arguments.recipe, *sizes]
    command += ["--format", arguments.format, *(["--own-thresholds"] if arguments.own_thresholds else [])]
    subprocess.run(list(map(str, command)), check=True)
    checkpoint = arguments.run or folder / "random.safetensors"
    quiet = ["--no-overlays"] if arguments.no_overlays else []
    name = arguments.run or f"{arguments.recipe}, random weights"
    print(f"{name}:")
    if side:
        out = folder / "large"
        seconds, peak = measured(
            ["predict", checkpoint, folder / f"large.{arguments.format}", "--out", out, *tiles, *quiet]
        )
        rows = json.loads((out / "annotations" / "panoptic_predictions.json").read_text())["annotations"]
        segments = len(rows[0]["segments_info"])
        what = f"predict {side} x {side}, tiles of {arguments.tile}"
        print(f"{what}: {peak:6.0f} MiB, {seconds:6.1f} s, {segments} segments", flush=True)
        claims.at_most(f"MiB of predicting {side} x {side}", peak, 4096)
    if whole[0]:
        data = folder / "data"
        for verb, rest in (
            ("predict", [next((data / "val").iterdir()), "--out", folder / "whole", *quiet]),
            ("eval", ["--data", data, "--limit", 1]),
        ):
            if verb == "eval" and arguments.run:
                continue  # its classes are not those of the generated data
            seconds, peak = measured([verb, checkpoint, *rest])
            print(f"{verb} {whole[0]} x {whole[1]}, whole: {peak:6.0f} MiB, {seconds:6.1f} s")


def measure_quality(arguments: argparse.Namespace, tiles: list, folder: Path) -> None:
    quality = {}
    for name, options in (("whole", []), ("tiled", tiles)):
        out = folder / f"{name}.json"
        options = [*options, *(["--set", *arguments.set] if arguments.set else [])]
        common = ["--data", arguments.data, "--split", arguments.split, "--limit", arguments.limit]
        seconds, peak = measured(["eval", arguments.run, *common, "--json", out, *options])
        content = json.loads(out.read_text())["panoptic"]
        quality[name] = {group: 100 * (content[group]["pq"] or 0) for group in ("all", "things", "stuff")}
        shown = ", ".join(f"{group} {value:.2f}" for group, value in quality[name].items())
        print(f"{name}: PQ {shown}; {peak:6.0f} MiB, {seconds:6.1f} s")
    difference = ", ".join(f"{g} {quality['tiled'][g] - quality['whole'][g]:+.2f}" for g in quality["whole"])
    print(f"tiled - whole on {arguments.limit} images: PQ {difference}")


if __name__ == "__main__":
    main()
