"""A repaired copy of a checked COCO-panoptic folder; the folder itself is only read."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, ids_to_rgb
from pantile.data.described_images import images_beside, write_images_beside
from pantile.data.image_files import read_panoptic_png
from pantile.labels.checks.check import CheckResult
from pantile.labels.checks.findings import KINDS
from pantile.labels.checks.pixels import ImageResult, measure
from pantile.labels.checks.table import Pair, SplitTable, usable_rows
from pantile.labels.photos.label_frames import frame_of_map
from pantile.labels.photos.photo_copy import place_photo
from pantile.labels.reading.label_pngs import save_png
from pantile.labels.staging import refuse_in_use, staged

ROTATED = ("image-rotated", "image-rotation-unclear")


@dataclass
class Repaired:
    """
    Attributes:
        images: copied, per split.
        left_out: image (below the checked folder) and the finding because of which it is not in the copy.
    """

    images: dict[str, int] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def repair(result: CheckResult, out: str | Path, progress: bool = False) -> Repaired:
    """Writes what the check found usable, with areas, boxes, sizes and crowd flags made anew.

    Pixels without a usable row become void, rows without pixels go, and stuff of one class becomes one segment. An
    image whose files cannot be used is left out, and so is one that a smaller split has. Photos that are stored turned
    are saved as ``place_photo`` does it.
    Everything else in the JSON stays as it is.

    Args:
        result: of ``check``; the files must not have changed since.
        out: must not exist, or be an empty folder, outside of the checked one.
        progress: show a bar on stderr.

    Raises:
        UserError: not a COCO-panoptic folder, or ``out`` is in use or inside it.
    """
    out = Path(out)
    if not result.tables:
        raise UserError(f"{result.root} is not in COCO-panoptic layout: convert it with `pantile data convert` first.")
    refuse_place(out, result.root)
    done, described = Repaired(), images_beside(result.root)
    said = described.orientation if described else None
    with staged(out) as folder:
        for table in result.tables:
            _repair_split(table, result.images[table.name], folder, done, progress, said)
        write_images_beside(folder, described)
    return done


def refuse_place(out: Path, root: Path) -> None:
    """To be asked before a check that takes hours.

    Raises:
        UserError: ``out`` is in use or lies in the checked folder.
    """
    refuse_in_use(out)
    if out.resolve().is_relative_to(root.resolve()):
        raise UserError(f"{out} lies in the checked folder {root}, which stays as it is: name a place outside.")


def _repair_split(
    table: SplitTable, results: list[ImageResult], folder: Path, done: Repaired, progress: bool, said: str | None
) -> None:
    images, annotations = [], []
    png_folder = folder / "annotations" / f"panoptic_{table.name}"
    png_folder.mkdir(parents=True)
    (folder / table.name).mkdir()
    console = Console(stderr=True)
    pairs = zip(table.pairs, results, strict=True)
    for pair, own in track(pairs, f"writing {table.name}", len(results), console=console, disable=not progress):
        reasons = [finding.kind for finding in own.findings if KINDS[finding.kind].leaves_out]
        if reasons:
            done.left_out.append((own.file, reasons[0]))
            continue
        size, rows = _repair_label(pair, table, png_folder / pair.annotation["file_name"])
        images.append(pair.image | {"height": size[0], "width": size[1]})
        annotations.append(pair.annotation | {"segments_info": rows})
        photo = folder / table.name / pair.image["file_name"]
        photo.parent.mkdir(parents=True, exist_ok=True)
        is_rotated = any(finding.kind in ROTATED for finding in own.findings)
        place_photo(
            pair.image_path, photo, False, frame_of_map(pair.image_path, size, said, "") if is_rotated else None
        )
    done.images[table.name] = len(images)
    data = table.data | {"images": images, "annotations": annotations}
    png_folder.with_suffix(".json").write_text(json.dumps(data), encoding="utf-8")


def _repair_label(pair: Pair, table: SplitTable, target: Path) -> tuple[tuple[int, int], list[dict]]:
    """Writes the PNG. Returns its (height, width) and its rows."""
    ids = read_panoptic_png(pair.png_path)
    usable, _ = usable_rows(pair.annotation["segments_info"], table.things)
    stuff = {category for category, is_thing in table.things.items() if not is_thing}
    present = set(np.unique(ids).tolist()) - {VOID_ID}
    new_id = {own: VOID_ID for own in present if own not in usable}
    first: dict[int, int] = {}
    for own, row in usable.items():
        if row["category_id"] in stuff and own in present and first.setdefault(row["category_id"], own) != own:
            new_id[own] = first[row["category_id"]]
    if new_id:
        values, position = np.unique(ids, return_inverse=True)
        ids = np.array([new_id.get(own, own) for own in values.tolist()], dtype=ids.dtype)[position].reshape(ids.shape)
        save_png(ids_to_rgb(ids), target)
    else:
        _copy(pair.png_path, target)
    measured = measure(ids)
    rows = [
        row
        | {"area": measured.areas[own], "bbox": measured.boxes[own]}
        | ({"iscrowd": 0} if row["category_id"] in stuff else {})
        for own, row in usable.items()
        if own in measured.areas
    ]
    return ids.shape, rows


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
