"""Mapillary Vistas (Neuhold et al., ICCV 2017), versions 1.2 and 2.0, in their official folders.

::

    root/config_v1.2.json, root/config.json or root/config_v2.0.json    the labels, in the order of their ids
    root/<split>/images/<key>.jpg                                       <split> is training or validation
    root/<split>/[<version>/]panoptic/panoptic_2018.json and <key>.png  COCO-panoptic; in 2.0 panoptic_2020.json
    root/<split>/[<version>/]instances/<key>.png                        16 bits, label id * 256 + number

The panoptic JSON is read where it exists (it knows crowd, and more than 256 things of a class), else the instances.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import ClassInfo, Taxonomy
from pantile.data.coco_json import read_coco_json
from pantile.data.coco_split import VOID_CLASS, CocoSplit
from pantile.data.label_codes import CodeTable
from pantile.data.label_files import GREY_16, read_label
from pantile.data.layouts import existing_splits, register_layout
from pantile.data.paired_files import LONG_NAMES, FileSet, PairedFiles, check_split, paired_keys

INSTANCES_PER_LABEL = 256


@dataclass(frozen=True)
class Version:
    """What differs between the versions: the folder below a split, and names of files."""

    name: str
    configs: tuple[str, ...]
    panoptic_json: str


VERSIONS = (
    Version("v1.2", ("config_v1.2.json", "config.json"), "panoptic_2018.json"),
    Version("v2.0", ("config_v2.0.json",), "panoptic_2020.json"),
)


@dataclass(frozen=True)
class Label:
    """One entry of the config.

    Attributes:
        name: for machines, such as ``"animal--bird"``.
        readable: for people, such as ``"Bird"``.
        instances: a thing.
        evaluate: False for labels that are void: unlabelled, ambiguous ones and (2.0) groups.
        color: RGB.
    """

    name: str
    readable: str
    instances: bool
    evaluate: bool
    color: tuple[int, int, int]


def is_mapillary(source: Path) -> bool:
    """A folder with a config and a split, or the config itself."""
    root = source if source.is_dir() else source.parent
    return bool(_configs(source)) and any((root / split).is_dir() for split in ("training", "validation", "testing"))


def _splits(source: Path) -> list[str]:
    root = source if source.is_dir() else source.parent
    return existing_splits({"train": root / "training", "val": root / "validation"})


@register_layout(
    "mapillary",
    "Mapillary Vistas",
    marks="config_v1.2.json or config_v2.0.json with training",
    fits=is_mapillary,
    splits=_splits,
)
def open_mapillary(source: str | Path, split: str = "train", skip_missing: bool = False) -> PairedFiles:
    """The panoptic JSON of a split, or its instances where that is missing.

    Args:
        source: the folder with the config, or the config itself: the archive of version 2.0 holds both versions.
        split: ``"train"`` or ``"training"``, ``"val"`` or ``"validation"``.
        skip_missing: leaves out images of which a file is missing, with a warning.

    Raises:
        UserError: a missing config, split or file, a split without labels, or two versions to choose from.
    """
    configs = _configs(Path(source))
    if not configs:
        raise UserError(f"{source} has no {' or '.join(_config_names())}: restore it from the data set's archive.")
    if len(configs) > 1:
        raise UserError(
            f"{source} holds several versions of Mapillary Vistas: name {' or '.join(map(str, configs))} instead."
        )
    (config,) = configs
    root = config.parent
    version = next(version for version in VERSIONS if config.name in version.configs)
    labels = _read_config(config)
    folder = root / LONG_NAMES.get(split, split)
    places = [folder / version.name, folder]
    jsons = [place / "panoptic" / version.panoptic_json for place in places]
    instances = [place / "instances" for place in places]
    check_split(root, folder / "images", [*jsons, *instances], split)
    for path in jsons:
        if path.is_file():
            return _open_json(path, folder / "images", labels, config, skip_missing)
    instance_folder = next(path for path in instances if path.is_dir())
    return MapillaryInstances(folder / "images", instance_folder, labels, skip_missing)


class MapillaryInstances(PairedFiles):
    """A split from its 16-bit instance PNGs. Image ids are the keys.

    Args:
        image_folder, instance_folder: where the files lie.
        labels: of the config.
        skip_missing: leaves out images of which a file is missing, with a warning.

    Raises:
        UserError: a missing file.
    """

    def __init__(
        self, image_folder: Path, instance_folder: Path, labels: list[Label], skip_missing: bool = False
    ) -> None:
        images = FileSet(image_folder, ".jpg")
        self._labels = FileSet(instance_folder, ".png")
        super().__init__(_taxonomy(labels), paired_keys(images, self._labels, skip_missing=skip_missing), images)
        self._codes = _code_table(labels, self.taxonomy)

    def label_path(self, index: int) -> Path:
        return self._labels.path(self._keys[index])

    def load_map(self, index: int) -> PanopticMap:
        path = self.label_path(index)
        return self._codes.to_map(read_label(path, (GREY_16,)), path)


def _config_names() -> list[str]:
    return [name for version in VERSIONS for name in version.configs]


def _configs(source: Path) -> list[Path]:
    """One config per version: the given file, or those in the given folder."""
    if source.is_file():
        return [source] if source.name in _config_names() else []
    present = [[source / name for name in version.configs if (source / name).is_file()] for version in VERSIONS]
    return [paths[0] for paths in present if paths]


def _read_config(path: Path) -> list[Label]:
    try:
        entries = json.loads(regular_file(path).read_text(encoding="utf-8"))["labels"]
        return [
            Label(
                str(entry["name"]),
                str(entry["readable"]),
                bool(entry["instances"]),
                bool(entry["evaluate"]),
                tuple(int(value) for value in entry["color"]),
            )
            for entry in entries
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is not a config of Mapillary Vistas ({type(error).__name__}: {str(error)[:80]}): it needs a list "
            "'labels' of objects with name, readable, instances, evaluate and color."
        ) from None


def _taxonomy(labels: list[Label]) -> Taxonomy:
    """The evaluated labels. Category ids are label ids plus 1, as in the panoptic JSON, so that none is 0."""
    return Taxonomy(
        tuple(
            ClassInfo(label.readable, label.instances, label_id + 1, label.color)
            for label_id, label in enumerate(labels)
            if label.evaluate
        )
    )


def _code_table(labels: list[Label], taxonomy: Taxonomy) -> CodeTable:
    table = CodeTable()
    for label_id, label in enumerate(labels):
        codes = range(label_id * INSTANCES_PER_LABEL, (label_id + 1) * INSTANCES_PER_LABEL)
        first_id = codes.start + 1  # code 0 is an instance of label 0, but id 0 is void
        if not label.evaluate:
            table.void(slice(codes.start, codes.stop))
        elif label.instances:
            table.things(codes, taxonomy.index_of_id[label_id + 1], first_id)
        else:
            table.segment(slice(codes.start, codes.stop), first_id, taxonomy.index_of_id[label_id + 1])
    return table


def _open_json(path: Path, image_folder: Path, labels: list[Label], config: Path, skip_missing: bool) -> CocoSplit:
    """Classes are the config's, whichever form is read; categories of the JSON find theirs by name.

    1.2 calls a category by its readable name, 2.0 by its name for machines.
    """
    table = read_coco_json(path)
    taxonomy = _taxonomy(labels)
    index_of_name = {name: VOID_CLASS for label in labels for name in (label.name, label.readable)}
    evaluated = [label for label in labels if label.evaluate]
    index_of_name |= {name: k for k, label in enumerate(evaluated) for name in (label.name, label.readable)}
    class_of_category = []
    for category in table.taxonomy.classes:
        if category.name not in index_of_name:
            raise UserError(f"{path} has the category {category.name!r}, which {config} lacks: use one archive.")
        class_of_category.append(index_of_name[category.name])
    id_of_class = {
        k: category.id for k, category in zip(class_of_category, table.taxonomy.classes, strict=True) if k != VOID_CLASS
    }
    classes = (replace(info, id=id_of_class.get(k, info.id)) for k, info in enumerate(taxonomy.classes))
    taxonomy, of_category = Taxonomy(tuple(classes)), np.array(class_of_category)
    return CocoSplit(path, table, path.parent, image_folder, taxonomy, of_category, skip_missing)
