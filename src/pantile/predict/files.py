"""Predicting files and folders: a COCO-panoptic folder and overlays out, shared by any number of processes."""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.progress import Progress

from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.data.id_png import save_ids
from pantile.data.image_files import save_image
from pantile.data.image_suffixes import IMAGE_SUFFIXES
from pantile.merge.tile_layout import Window
from pantile.predict.georeferenced import write_georeferenced
from pantile.predict.predictor import Predictor
from pantile.predict.result import PanopticResult

SPLIT = "predictions"
OVERLAY_SIDE = 4096  # overlays of larger images are drawn smaller: few viewers open more, and drawing takes memory
FEW_TILES = 4  # up to so many have no progress bar of their own


def find_images(inputs: Iterable[str | Path]) -> list[Path]:
    """Files as given, folders as their images in name order (not their subfolders).

    Raises:
        UserError: something is missing, holds no image, or two images have the same name.
    """
    found: list[Path] = []
    for given in map(Path, inputs):
        if given.is_dir():
            images = sorted(p for p in given.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
            if not images:
                raise UserError(f"{given}: the folder holds no image ({', '.join(IMAGE_SUFFIXES)}).")
            found += images
        elif given.exists():
            found.append(given)
        else:
            raise UserError(f"{given}: no such image or folder.")
    by_stem: dict[str, Path] = {}
    for path in found:
        other = by_stem.setdefault(path.stem, path)
        if other is not path:
            raise UserError(f"{path} and {other} would both be written to {path.stem}.png: rename one of them.")
    return found


def predict_files(
    predictor: Predictor, images: Sequence[Path], out: Path, rank: int = 0, world_size: int = 1, overlays: bool = True
) -> Path:
    """Writes ``annotations/panoptic_predictions.json``, its PNG folder and ``overlays/`` under ``out``.

    Of rasters with a place on the Earth also ``geotiff/``, see ``write_georeferenced``.

    All images are decoded once before the first is predicted, so that a broken file stops the job at once. The JSON
    is written last, by process 0. Overlays of images larger than 4096 pixels are drawn smaller.

    Args:
        rank, world_size: this process predicts every ``world_size``-th image; with more than one,
            ``torch.distributed`` must be initialised.

    Returns:
        The JSON's path.
    """
    # who cuts images into tiles has large ones, of which only a few fit into memory at a time
    with ThreadPoolExecutor(1 if predictor.tiling else None) as pool:
        list(pool.map(lambda path: predictor.open(path).shape, images))
    maps, drawn = out / "annotations" / f"panoptic_{SPLIT}", out / "overlays"
    for folder in (maps, drawn) if overlays else (maps,):
        folder.mkdir(parents=True, exist_ok=True)
    image_ids = _image_ids(images)
    rows = []
    share = range(rank, len(images), world_size)
    with Progress(disable=rank > 0, transient=True) as progress:
        for index in progress.track(share, description="predicting"):
            path = images[index]
            result = predictor(path, track=lambda tiles: _with_bar(tiles, progress))
            save_ids(result.map, maps / f"{path.stem}.png")
            if overlays:
                save_image(_overlay(result), drawn / f"{path.stem}.jpg")
            write_georeferenced(path, result, out / "geotiff")
            height, width = result.map.shape
            image = {"id": image_ids[index], "file_name": path.name, "height": height, "width": width}
            annotation = {"image_id": image["id"], "file_name": f"{path.stem}.png", "segments_info": result.to_coco()}
            rows.append((index, image, annotation))
    rows = _gather(rows, world_size)
    target = out / "annotations" / f"panoptic_{SPLIT}.json"
    if rank == 0:
        rows.sort(key=lambda row: row[0])
        content = {
            "images": [image for _, image, _ in rows],
            "annotations": [annotation for _, _, annotation in rows],
            "categories": predictor.taxonomy.to_coco(),
        }
        with replacing(target) as temporary:
            temporary.write_text(json.dumps(content))
    return target


def _overlay(result: PanopticResult) -> np.ndarray:
    """The overlay, of every n-th pixel where the image is larger than ``OVERLAY_SIDE``."""
    step = -(-max(result.map.shape) // OVERLAY_SIDE)
    if step == 1:
        return result.overlay()
    seen = np.ascontiguousarray(result.image[::step, ::step])
    panoptic = PanopticMap(np.ascontiguousarray(result.map[::step, ::step]), result.segments)
    return PanopticResult(seen, panoptic, result.taxonomy).overlay()


def _with_bar(tiles: Sequence[Window], progress: Progress) -> Iterator[Window]:
    """The tiles, with a bar that is there while they go by."""
    if len(tiles) <= FEW_TILES:
        yield from tiles
        return
    bar = progress.add_task("tiles", total=len(tiles))
    yield from progress.track(tiles, task_id=bar)
    progress.remove_task(bar)


def _image_ids(images: Sequence[Path]) -> list[int]:
    """COCO's own numbers where every file is named by one (000000142238.jpg), else 1, 2, ..."""
    if all(path.stem.isdecimal() for path in images):
        return [int(path.stem) for path in images]
    return list(range(1, len(images) + 1))


def _gather(rows: list, world_size: int) -> list:
    if world_size == 1:
        return rows
    import torch.distributed as distributed

    parts: list = [None] * world_size
    distributed.all_gather_object(parts, rows)
    return [row for part in parts for row in part]
