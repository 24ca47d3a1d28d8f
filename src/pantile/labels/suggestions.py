"""Predictions as suggestions for an annotation tool: a COCO-panoptic JSON and its photos, written by a label writer."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.data.coco_json import read_coco_json
from pantile.data.label_files import read_label_ids
from pantile.labels.collected_rows import FrameRows
from pantile.labels.photos.label_frames import frame_of_map
from pantile.labels.photos.photo_copy import place_photo
from pantile.labels.registry import WRITERS
from pantile.labels.report import Report
from pantile.labels.staging import refuse_in_use, staged

SPLIT = "predictions"


def check_target(name: str, dst: Path) -> None:
    """
    Raises:
        UserError: there is no such format to write, it is one of videos, or its folder is in use: a person may have
            worked in it.
    """
    writer = WRITERS.find(name, "--to")
    if isinstance(writer, type) and issubclass(writer, FrameRows):
        raise UserError(f"--to {name} is a layout of videos, but suggestions are for images: choose another format.")
    refuse_in_use(dst)


def write_suggestions(predictions: Path, photos: Mapping[str, Path], dst: Path, target: str) -> Report:
    """Writes a format's folder, with copies of the photos; it appears complete or not at all.

    Args:
        predictions: COCO-panoptic JSON; its PNGs lie in the folder of its name.
        photos: ``file_name`` of the JSON to the photo, whose ending may be another.
        dst: must not exist, or be an empty folder.
        target: a name in ``WRITERS``.

    Returns:
        What the format cannot hold is in it.

    Raises:
        UserError: the JSON, a PNG or a photo cannot be read or do not fit together.
    """
    check_target(target, dst)
    table = read_coco_json(predictions)
    with staged(dst) as folder:
        report = Report(table.taxonomy)
        writer = WRITERS[target](folder, table.taxonomy)
        images = folder / writer.images.format(split=SPLIT)
        images.mkdir(parents=True)
        for index, (name, png) in enumerate(zip(table.image_names, table.png_names, strict=True)):
            path = predictions.with_suffix("") / png
            panoptic = PanopticMap(read_label_ids(path), table.segments_of(index))
            photo = photos[name]
            own = "_".join(PurePosixPath(name).with_suffix(photo.suffix).parts)
            if (images / own).exists():
                raise UserError(f"{name} would share the name {own} with another image: rename one of them.")
            framed = frame_of_map(photo, panoptic.size, None, str(path))
            report.count_out(writer.write(SPLIT, own, table.image_ids[index], panoptic, report))
            place_photo(photo, images / own, link=False, framed=framed)
            report.images[SPLIT] += 1
        writer.finish(SPLIT)
    return report
