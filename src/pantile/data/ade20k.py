"""ADE20K, SceneParse150 (Zhou et al., CVPR 2017) in the folder ``ADEChallengeData2016``, in three forms.

::

    root/images/<split>/<key>.jpg                   <split> is training or validation
    root/annotations/<split>/<key>.png              8 bits, 0 void, 1..150 the class
    root/annotations_instance/<split>/<key>.png     R instance category 1..100, G number of the instance, 0 none
    root/ade20k_panoptic_<split>.json               COCO-panoptic, as Mask2Former's preparation writes it
    root/ade20k_panoptic_<split>/<key>.png          (there <split> may be train or val)
    root/objectInfo150.txt                          names of the classes; ours where it is missing

The JSON is read where it exists. Otherwise the panoptic map is made as that preparation makes it: stuff from
``annotations``, instances pasted over it, pixels of a thing class without instance void. Without
``annotations_instance`` nothing separates the things of an image, so every region of a thing class is crowd: void for
training, and ignored by PQ as the reference ignores crowd.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.classes.ade20k import TAXONOMY
from pantile.data.coco_json import read_coco_json
from pantile.data.coco_split import CocoSplit
from pantile.data.label_codes import CodeTable
from pantile.data.label_files import INDEXED_8, RGB_8, read_label
from pantile.data.layouts import existing_splits, register_layout
from pantile.data.paired_files import LONG_NAMES, FileSet, PairedFiles, check_split, paired_keys

SHORT_NAMES = {long: short for short, long in LONG_NAMES.items()}
FIRST_INSTANCE_CODE = 256  # below it, a code is a value of ``annotations``


def is_ade20k(root: Path) -> bool:
    def has_split(folder: str) -> bool:
        return any((root / folder / split).is_dir() for split in ("training", "validation"))

    return has_split("images") and (has_split("annotations") or any(root.glob("ade20k_panoptic_*.json")))


def _splits(root: Path) -> list[str]:
    return existing_splits({"train": root / "images" / "training", "val": root / "images" / "validation"})


@register_layout(
    "ade20k",
    "ADE20K",
    marks="images/training with annotations/training or ade20k_panoptic_train.json",
    fits=is_ade20k,
    splits=_splits,
)
def open_ade20k(root: str | Path, split: str = "train", skip_missing: bool = False) -> PairedFiles:
    """The best form that the folder has: the panoptic JSON, instances, or classes only.

    Args:
        root: the folder that holds ``images``.
        split: ``"train"`` or ``"training"``, ``"val"`` or ``"validation"``.
        skip_missing: leaves out images of which a file is missing, with a warning.

    Raises:
        UserError: a missing split or file, or a split without labels.
    """
    root = Path(root)
    split = LONG_NAMES.get(split, split)
    jsons = [root / f"ade20k_panoptic_{name}.json" for name in (split, SHORT_NAMES.get(split, split))]
    image_folder = root / "images" / split
    check_split(root, image_folder, [*jsons, root / "annotations" / split], split)
    for path in jsons:
        if path.is_file():
            return _open_json(path, image_folder, _taxonomy(root), skip_missing)
    return Ade20k(root, split, skip_missing)


class Ade20k(PairedFiles):
    """The folders of the challenge, with or without ``annotations_instance``: 150 classes, 100 of them things.

    Category ids are the values 1..150 of ``annotations``, image ids the file names without ``.jpg``.

    Args:
        root, split, skip_missing: as for ``open_ade20k``.

    Raises:
        UserError: a missing split or file, or a split without labels.
    """

    def __init__(self, root: str | Path, split: str = "train", skip_missing: bool = False) -> None:
        root = Path(root)
        split = LONG_NAMES.get(split, split)
        images = FileSet(root / "images" / split, ".jpg")
        self._semantic = FileSet(root / "annotations" / split, ".png")
        check_split(root, images.folder, [self._semantic.folder], split)
        self._instances = FileSet(root / "annotations_instance" / split, ".png")
        self.has_instances = self._instances.folder.is_dir()
        labels = [self._semantic, self._instances] if self.has_instances else [self._semantic]
        super().__init__(_taxonomy(root), paired_keys(images, *labels, skip_missing=skip_missing), images)
        self._codes = _code_table(self.taxonomy, self.has_instances)

    def label_path(self, index: int) -> Path:
        return self._semantic.path(self._keys[index])

    def load_map(self, index: int) -> PanopticMap:
        path = self.label_path(index)
        codes = read_label(path, INDEXED_8)
        if self.has_instances:
            path = self._instances.path(self._keys[index])
            codes = _paste_instances(codes, read_label(path, (RGB_8,)), path)
        return self._codes.to_map(codes, path)


def _paste_instances(semantic: np.ndarray, instances: np.ndarray, path: Path) -> np.ndarray:
    """(H, W) int32: the class where G is 0, else FIRST_INSTANCE_CODE + 256 R + G."""
    if instances.shape[:2] != semantic.shape:
        raise UserError(
            f"{path} is {instances.shape[1]}x{instances.shape[0]} pixels but the label in annotations is "
            f"{semantic.shape[1]}x{semantic.shape[0]}: make both the same size."
        )
    category, number = instances[..., 0].astype(np.int32), instances[..., 1]
    return np.where(number > 0, FIRST_INSTANCE_CODE + (category << 8) + number, semantic)


def _code_table(taxonomy: Taxonomy, has_instances: bool) -> CodeTable:
    table = CodeTable(describe=_describe)
    table.void(0)
    for class_index, info in enumerate(taxonomy.classes):
        if info.is_thing and has_instances:
            table.void(info.id)
        else:
            table.segment(info.id, info.id, class_index, crowd=info.is_thing)
    for category, class_index in enumerate(taxonomy.thing_indices, start=1):
        first = FIRST_INSTANCE_CODE + 256 * category
        table.things(range(first + 1, first + 256), class_index, first_id=first + 1)
    return table


def _describe(code: int) -> str:
    if code < FIRST_INSTANCE_CODE:
        return f"class {code}"
    category, number = divmod(code - FIRST_INSTANCE_CODE, 256)
    return f"instance {number} (G) of category {category} (R)"


def _taxonomy(root: Path) -> Taxonomy:
    """The built-in classes, named by ``objectInfo150.txt`` where it exists."""
    path = root / "objectInfo150.txt"
    if not path.is_file():
        return TAXONOMY
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:] if line.strip()]
    names = {row[0].strip(): row[-1].split(",")[0].strip() for row in rows}
    if list(names) != [str(info.id) for info in TAXONOMY.classes]:
        raise UserError(
            f"{path} does not list the classes 1..{len(TAXONOMY)} in tab-separated rows after a heading: restore the "
            "original, or remove it to use the built-in names."
        )
    return Taxonomy(tuple(replace(info, name=names[str(info.id)]) for info in TAXONOMY.classes))


def _open_json(path: Path, image_folder: Path, official: Taxonomy, skip_missing: bool) -> CocoSplit:
    """The preparation shortens names in its own way; ours stay, so that a checkpoint fits every form of the data.

    Its category ids count from 0 and are kept; in which order it lists them does not matter.
    """
    table = read_coco_json(path)
    categories = sorted(table.taxonomy.classes, key=lambda info: info.id)
    kinds = [(info.id, info.is_thing) for info in categories]
    if kinds != [(info.id - 1, info.is_thing) for info in official.classes]:
        raise UserError(
            f"{path}: its categories are not the 150 classes of ADE20K with ids 0..149 and their isthing flags: write "
            "it anew, or move it away to read the folders annotations and annotations_instance instead."
        )
    index_of = {name: k for k, name in enumerate(official.names)}
    for k, info in enumerate(categories):
        first = info.name.partition(",")[0].strip()
        if index_of.get(first, k) != k:
            raise UserError(
                f"{path} gives the id {k} to {first!r}, but in ADE20K that is {official.names[k]!r} and {first!r} is "
                f"{index_of[first]}: write it anew with the ids 0..149 in the official order."
            )
    taxonomy = Taxonomy(tuple(replace(info, id=info.id - 1) for info in official.classes))
    class_of_category = np.array([info.id for info in table.taxonomy.classes])
    return CocoSplit(path, table, path.with_suffix(""), image_folder, taxonomy, class_of_category, skip_missing)
