"""FORMATS: every format by name, with its reader and, where there is a way back, its writer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.labels.ade20k_full import open_ade20k_847, open_ade20k_full
from pantile.labels.coco_instances import CocoInstancesWriter, open_coco_instances
from pantile.labels.coco_lvis import CocoLvisWriter, open_coco_lvis
from pantile.labels.coco_panoptic import CocoPanopticWriter, open_coco_panoptic
from pantile.labels.cvat import open_cvat
from pantile.labels.datasets import open_ade20k_challenge, open_cityscapes, open_mapillary_vistas
from pantile.labels.labelme import open_labelme
from pantile.labels.png_pairs import PngPairsWriter, SemanticWriter, open_png_pairs, open_semantic
from pantile.labels.report import Report
from pantile.labels.source import LabelSource, ReadOptions
from pantile.labels.three_channel import open_three_channel
from pantile.labels.two_channel import TwoChannelWriter, open_two_channel
from pantile.labels.yolo import open_yolo


class LabelWriter(Protocol):
    """Writes labels into an empty folder; ``Format.writer`` makes one from the folder and the taxonomy.

    Attributes:
        images: folder of the images of a split, with ``{split}`` in it.
    """

    images: str

    def write(
        self, split: str, image_name: str, image_id: int | str, panoptic: PanopticMap, report: Report
    ) -> PanopticMap:
        """Writes one image's labels and reports what the format cannot hold. Returns what it does hold."""
        ...

    def finish(self, split: str) -> None:
        """Writes what a split has once."""
        ...


@dataclass(frozen=True)
class Format:
    """
    Attributes:
        name: on the command line.
        summary: one line.
        open: folder and options to a source.
        writer: None where there is no way back.
        options: fields of ``ReadOptions`` that it takes; about the rest its files speak for themselves.
    """

    name: str
    summary: str
    open: Callable[[Path, ReadOptions], LabelSource]
    writer: Callable[[Path, Taxonomy], LabelWriter] | None = None
    options: tuple[str, ...] = ("things", "stuff", "classes", "images")


FORMATS = {
    own.name: own
    for own in (
        Format("coco-panoptic", "PNGs of ids and a JSON", open_coco_panoptic, CocoPanopticWriter, options=()),
        Format("coco-instances", "polygons, RLE, crowd; stuff beside it", open_coco_instances, CocoInstancesWriter),
        Format("labelme", "a JSON of shapes per image", open_labelme),
        Format("cvat", "CVAT for images 1.1, XML", open_cvat),
        Format("yolo-seg", "a text file of polygons per image, data.yaml", open_yolo, options=("things", "stuff")),
        Format("png-pairs", "a semantic and an instance PNG per image", open_png_pairs, PngPairsWriter),
        Format("semantic", "a semantic PNG per image", open_semantic, SemanticWriter),
        Format("two-channel", "R category, G number, as panopticapi writes it", open_two_channel, TwoChannelWriter),
        Format("three-channel", "R class, G number, B empty, as in Hugging Face's examples", open_three_channel),
        Format("cityscapes", "leftImg8bit and gtFine", open_cityscapes, options=()),
        Format("ade20k", "the challenge's 150 classes", open_ade20k_challenge, options=()),
        Format("ade20k-full", "_seg.png, all classes", open_ade20k_full, options=("things", "stuff", "classes")),
        Format("ade20k-847", "_seg.png, the 847 classes of MaskFormer", open_ade20k_847, options=()),
        Format("coco-lvis", "LVIS v1 over COCO's stuff, 1284 classes", open_coco_lvis, CocoLvisWriter, ("images",)),
        Format(
            "coco-lvis-as-published",
            "the same with the fault of the published labels",
            partial(open_coco_lvis, as_published=True),
            options=("images",),
        ),
        Format("mapillary", "Mapillary Vistas 1.2 and 2.0", open_mapillary_vistas, options=()),
    )
}
READABLE = tuple(FORMATS)
WRITABLE = tuple(name for name, own in FORMATS.items() if own.writer)
