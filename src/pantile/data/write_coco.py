"""Writes any data set as a folder in COCO-panoptic layout."""

import json
from collections.abc import Iterable
from pathlib import Path

from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import ids_to_rgb
from pantile.data.dataset import PanopticDataset
from pantile.data.image_files import save_image
from pantile.data.segment_rows import segments_info


def write_coco_panoptic(
    dataset: PanopticDataset,
    root: str | Path,
    split: str,
    indices: Iterable[int] | None = None,
    image_format: str = "png",
) -> Path:
    """Writes images, id PNGs and the JSON, with areas and boxes counted from the pixels.

    Every file appears under its name only when it is complete, the JSON last: a split that can be opened is whole.

    Args:
        root: the folder; made if absent.
        split: name of the new split.
        indices: which images, in which order; None for all.
        image_format: ``"png"`` (lossless) or ``"jpg"``.

    Returns:
        The JSON's path.

    Raises:
        UserError: the split exists already, or the format is unknown.
    """
    root = Path(root)
    json_path = root / "annotations" / f"panoptic_{split}.json"
    if json_path.exists():
        raise UserError(f"{json_path} exists already: choose another folder or split, or delete it first.")
    if image_format not in ("png", "jpg"):
        raise UserError(f"image_format is {image_format!r}: choose png or jpg.")
    image_folder, png_folder = root / split, json_path.with_suffix("")
    image_folder.mkdir(parents=True, exist_ok=True)
    png_folder.mkdir(parents=True, exist_ok=True)

    images, annotations, used = [], [], {}
    for index in range(len(dataset)) if indices is None else indices:
        image, panoptic = dataset.load(index)
        stem = _flat_stem(dataset.name_of(index))
        image_name, png_name, image_id = f"{stem}.{image_format}", f"{stem}.png", dataset.image_id(index)
        if stem in used:
            raise UserError(
                f"The images with the ids {used[stem]} and {image_id} would both be written as {stem!r}: make their "
                "names unique."
            )
        used[stem] = image_id
        save_image(image, image_folder / image_name)
        save_image(ids_to_rgb(panoptic.ids), png_folder / png_name)
        height, width = panoptic.size
        images.append({"id": image_id, "file_name": image_name, "height": height, "width": width})
        annotations.append(
            {"image_id": image_id, "file_name": png_name, "segments_info": segments_info(panoptic, dataset.taxonomy)}
        )
    data = {"images": images, "annotations": annotations, "categories": dataset.taxonomy.to_coco()}
    with replacing(json_path) as temporary:
        temporary.write_text(json.dumps(data), encoding="utf-8")
    return json_path


def _flat_stem(name: str) -> str:
    """``city/a_b.png`` -> ``city_a_b``: the layout has no subfolders."""
    return "_".join(Path(name).with_suffix("").parts)
