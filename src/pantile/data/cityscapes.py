"""Cityscapes (Cordts et al., CVPR 2016) in its official folders, without any preparation.

::

    root/leftImg8bit/<split>/<city>/<key>_leftImg8bit.png
    root/gtFine/<split>/<city>/<key>_gtFine_instanceIds.png     16 bits

A value of 1000 or more is an instance: label id * 1000 + number. A smaller value is a label id: stuff, void, or, for a
thing class, a group of things that are not separated (crowd).
"""

from pathlib import Path

from pantile.contracts.panoptic import PanopticMap
from pantile.data.classes.cityscapes import NUM_LABELS, TAXONOMY
from pantile.data.label_codes import CodeTable
from pantile.data.label_files import GREY_16, read_label
from pantile.data.layouts import existing_splits, register_layout
from pantile.data.paired_files import FileSet, PairedFiles, check_split, no_labels, paired_keys

INSTANCES_PER_LABEL = 1000


def is_cityscapes(root: Path) -> bool:
    return (root / "leftImg8bit").is_dir() and (root / "gtFine").is_dir()


def _splits(root: Path) -> list[str]:
    return existing_splits({split: root / "gtFine" / split for split in ("train", "val")})


@register_layout("cityscapes", "Cityscapes", marks="leftImg8bit with gtFine", fits=is_cityscapes, splits=_splits)
class Cityscapes(PairedFiles):
    """Images and panoptic maps of one split: 19 classes, 8 of them things.

    Segment ids are the official values, category ids the official label ids, image ids ``<city>_<sequence>_<frame>``.
    Labels that are not evaluated (among them caravan and trailer) are void.

    Args:
        root: the folder that holds ``leftImg8bit`` and ``gtFine``.
        skip_missing: leaves out images without label, and labels without image, with a warning.
        split: ``"train"`` or ``"val"``. The archive's ``test`` labels are placeholders, which is refused.

    Raises:
        UserError: a missing split or file, or a split without labels.
    """

    def __init__(self, root: str | Path, split: str = "train", skip_missing: bool = False) -> None:
        root = Path(root)
        images = FileSet(root / "leftImg8bit" / split, "_leftImg8bit.png", depth=1)
        self._labels = FileSet(root / "gtFine" / split, "_gtFine_instanceIds.png", depth=1)
        check_split(root, images.folder, [self._labels.folder], split)
        super().__init__(TAXONOMY, paired_keys(images, self._labels, skip_missing=skip_missing), images)
        self._codes = _code_table()
        if split == "test" and not self.load_map(0).segments:
            raise no_labels(root, split, "gtFine/test holds placeholders")

    def label_path(self, index: int) -> Path:
        return self._labels.path(self._keys[index])

    def load_map(self, index: int) -> PanopticMap:
        path = self.label_path(index)
        return self._codes.to_map(read_label(path, (GREY_16,)), path)


def _code_table() -> CodeTable:
    table = CodeTable()
    for label in range(NUM_LABELS):
        instances = range(label * INSTANCES_PER_LABEL, (label + 1) * INSTANCES_PER_LABEL)
        if label not in TAXONOMY.index_of_id:
            table.void(label)
            if label:  # the instances of label 0 would be the labels themselves
                table.void(slice(instances.start, instances.stop))
            continue
        class_index = TAXONOMY.index_of_id[label]
        is_thing = TAXONOMY.classes[class_index].is_thing
        table.segment(label, label, class_index, crowd=is_thing)
        if is_thing:
            table.things(instances, class_index, first_id=instances.start)
    return table
