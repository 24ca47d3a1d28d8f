"""What the writers for annotation tools share: no crowd, which no tool knows, and a list of the classes."""

import json

import numpy as np

from pantile.contracts.panoptic import VOID_ID, PanopticMap
from pantile.data.label_rows import count_pixels
from pantile.labels.collected_rows import CollectedRows
from pantile.labels.report import Report

NO_CROWD = "crowd, which the tool does not know: void"


class ToolWriter(CollectedRows):
    """Base of the writers for annotation tools.

    ``classes.json`` keeps what the tools do not: ids, colours, and which classes are stuff. It is what ``--classes``
    takes on the way back.

    Args:
        root: an empty folder.
        taxonomy: the classes.
    """

    images = "images/{split}"

    def write(
        self, split: str, image_name: str, image_id: int | str, panoptic: PanopticMap, report: Report
    ) -> PanopticMap:
        """One image. Returns what the format holds."""
        held = _without_crowd(panoptic, report)
        masks = [(self.taxonomy.names[own.class_index], held.ids == own.id) for own in held.segments]
        self.add(split, image_name, held.size, masks)
        return held

    def add(self, split: str, image_name: str, size: tuple[int, int], masks: list[tuple[str, np.ndarray]]) -> None:
        """Class and (H, W) bool mask of each segment of an image, which do not overlap."""
        raise NotImplementedError

    def finish(self, split: str) -> None:
        """Writes the classes."""
        (self.root / "classes.json").write_text(json.dumps(self.taxonomy.to_coco(), indent=1), encoding="utf-8")


def _without_crowd(panoptic: PanopticMap, report: Report) -> PanopticMap:
    crowd = [own for own in panoptic.segments if own.is_crowd]
    if not crowd:
        return panoptic
    pixels = count_pixels(panoptic.ids)
    for own in crowd:
        report.lose(report.taxonomy.names[own.class_index], NO_CROWD, 1, pixels[own.id])
    ids = np.where(np.isin(panoptic.ids, [own.id for own in crowd]), VOID_ID, panoptic.ids)
    return PanopticMap(ids, tuple(own for own in panoptic.segments if not own.is_crowd))


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The first column and row of a mask, and those behind its last."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def hex_of(color: tuple[int, int, int]) -> str:
    """``#c80000``"""
    return "#" + bytes(color).hex()
