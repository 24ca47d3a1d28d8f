"""CVAT for images 1.1, written: a mask for every segment, in ``annotations.xml``; images in ``images/<split>/``."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from pantile.contracts.taxonomy import Taxonomy
from pantile.labels.registry import WRITERS
from pantile.labels.writing.tool_writer import ToolWriter, box_of, hex_of


@WRITERS.register("cvat")
class CvatWriter(ToolWriter):
    """See the module. An image's split is its ``subset``."""

    def __init__(self, root: Path, taxonomy: Taxonomy) -> None:
        super().__init__(root, taxonomy)
        self._top = ElementTree.Element("annotations")
        ElementTree.SubElement(self._top, "version").text = "1.1"
        job = ElementTree.SubElement(ElementTree.SubElement(self._top, "meta"), "task")
        labels = ElementTree.SubElement(job, "labels")
        for own in taxonomy.classes:
            label = ElementTree.SubElement(labels, "label")
            ElementTree.SubElement(label, "name").text = own.name
            ElementTree.SubElement(label, "color").text = hex_of(own.color)
            ElementTree.SubElement(label, "type").text = "mask"
            ElementTree.SubElement(label, "attributes")
        self._images = 0

    def add(self, split: str, image_name: str, size: tuple[int, int], masks: list[tuple[str, np.ndarray]]) -> None:
        told = {"id": self._images, "name": image_name, "subset": split, "width": size[1], "height": size[0]}
        self._images += 1
        image = ElementTree.SubElement(self._top, "image", {key: str(value) for key, value in told.items()})
        for name, mask in masks:
            ElementTree.SubElement(image, "mask", _mask(name, mask))

    def finish(self, split: str) -> None:
        """Writes the classes, and the XML as far as it goes: splits come one after the other."""
        super().finish(split)
        ElementTree.ElementTree(self._top).write(self.root / "annotations.xml", encoding="utf-8", xml_declaration=True)


def _mask(name: str, mask: np.ndarray) -> dict[str, str]:
    """Run lengths along the rows of the box, background first."""
    left, top, right, bottom = box_of(mask)
    flat = mask[top:bottom, left:right].ravel()
    borders = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], borders, [len(flat)]])).tolist()
    counts = [0, *counts] if flat[0] else counts
    place = {"left": left, "top": top, "width": right - left, "height": bottom - top, "z_order": 0}
    told = {"label": name, "source": "auto", "occluded": "0", "rle": ", ".join(map(str, counts))}
    return told | {key: str(value) for key, value in place.items()}
