"""Where labelled maps come from: COCO-panoptic files, Cityscapes-style instance PNGs, semantic with instance PNGs."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.file_names import key_of
from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.score.json_file import PanopticTable, read_categories, read_predictions, read_truth
from pantile.score.png_file import read_grey_png, read_id_png

_INSTANCES = "_instanceIds"  # how the official Cityscapes labels are told from their pictures
_USUAL_VOID = (0, 255, 65535)
_CITYSCAPES_LABELS = range(34)  # those that are not evaluated are void


class MapSource(Protocol):
    """Maps by index.

    Attributes:
        taxonomy: the classes.
        names: the file of each map, as a person knows it.
        image_names: the photo of each map; None where that is not known.
        image_ids: what pairs maps of two JSON files; None for a folder.
        per_class: a segment is all pixels of its class, of things too, so that nothing can be said of single things.
    """

    taxonomy: Taxonomy
    names: Sequence[str]
    image_names: Sequence[str] | None
    image_ids: Sequence[Hashable] | None
    per_class: bool

    def load(self, index: int) -> PanopticMap:
        """
        Raises:
            UserError: the file is missing, damaged or holds what the format does not know.
        """
        ...

    def path(self, index: int) -> Path: ...


class CocoMaps:
    """The annotations of a JSON, in its order, with their id PNGs.

    Args:
        json_path: ground truth, or predictions.
        folder: of the PNGs; None for the one that is named like the JSON.
        taxonomy: None reads ground truth with its categories; else predictions of these classes.

    Raises:
        UserError: the file is not COCO-panoptic, or there is no such folder.
    """

    def __init__(self, json_path: Path, folder: Path | None = None, taxonomy: Taxonomy | None = None) -> None:
        self._table: PanopticTable
        if taxonomy is None:
            self.taxonomy, self._table = read_truth(json_path)
        else:
            self.taxonomy, self._table = taxonomy, read_predictions(json_path, taxonomy)
        self._folder = folder or json_path.with_suffix("")
        if not self._folder.is_dir():
            raise UserError(f"{self._folder} is not a folder: name the folder of the PNGs of {json_path}.")
        self.names = self._table.png_names
        self.image_names = self._table.image_names
        self.image_ids = self._table.image_ids
        self.per_class = self._table.per_class

    def path(self, index: int) -> Path:
        return self._folder / self.names[index]

    def load(self, index: int) -> PanopticMap:
        return PanopticMap(read_id_png(self.path(index)), self._table.segments_of(index))


class LabelPngs:
    """A folder of label PNGs, sorted by name: Cityscapes-style, or semantic with a second folder of instances.

    Cityscapes-style values are ``label id * 1000 + number`` for an instance and ``label id`` for everything else. In
    semantic PNGs a value is a label id, and a second PNG numbers the instances of things. Label ids are the
    category ids of the taxonomy; 0, 255 and 65535 are void unless they are categories. A thing without number is a
    crowd in ground truth and one segment in a prediction.

    Args:
        folder: searched with its subfolders; where some files end in ``_instanceIds.png``, only those are read.
        taxonomy: the classes.
        is_truth: whether things without number are crowds.
        instances: folder of the instance PNGs of the same names; None for Cityscapes-style files.

    Raises:
        UserError: no PNG, two of one name, or a semantic PNG without its instances.
    """

    image_ids = None
    per_class = False
    image_names = None

    def __init__(self, folder: Path, taxonomy: Taxonomy, is_truth: bool, instances: Path | None = None) -> None:
        self.taxonomy = taxonomy
        self._files = _pngs(folder)
        self._is_truth = is_truth
        self._instances = None
        if instances is not None:
            by_name = {file.stem: file for file in _pngs(instances)}
            missing = [file for file in self._files if file.stem not in by_name]
            if missing:
                raise UserError(f"{instances} has no file {missing[0].name}, which {folder} has: add its instances.")
            self._instances = [by_name[file.stem] for file in self._files]
        elif any(c.id >= 1000 for c in taxonomy.classes):
            raise UserError(f"{folder}: instance PNGs hold label ids under 1000, but the categories have greater ones.")
        self.names = [file.name for file in self._files]
        self._classes = _class_of_label(taxonomy)

    def path(self, index: int) -> Path:
        return self._files[index]

    def load(self, index: int) -> PanopticMap:
        path = self.path(index)
        values = read_grey_png(path)
        if self._instances is None:
            instance = values >= 1000
            return self._to_map(np.where(instance, values // 1000, values), np.where(instance, values, 0), path)
        numbers = read_grey_png(self._instances[index])
        if numbers.shape != values.shape:
            raise UserError(f"{self._instances[index]} and {path} differ in size: make them the same size.")
        return self._to_map(values, numbers, path)

    def _to_map(self, labels: np.ndarray, numbers: np.ndarray, path: Path) -> PanopticMap:
        codes = (labels.astype(np.int64).ravel() << 32) | numbers.ravel()
        starts = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
        kinds, which = np.unique(codes[starts], return_inverse=True)
        ids: dict[tuple[int, int], int] = {}
        id_of_kind, segments = [], []
        for code in kinds.tolist():
            label, number = code >> 32, code & 0xFFFFFFFF
            if label not in self._classes:
                raise UserError(
                    f"{path} has pixels of label {label}, which the categories do not list: add the category, or paint "
                    "them 0 or 255 (void)."
                )
            class_index = self._classes[label]
            if class_index is None:
                id_of_kind.append(VOID_ID)
                continue
            is_thing = self.taxonomy.classes[class_index].is_thing
            key = (class_index, number if is_thing else 0)
            if key not in ids:
                ids[key] = len(ids) + 1
                crowd = self._is_truth and is_thing and number == 0
                segments.append(Segment(ids[key], class_index, is_crowd=crowd))
            id_of_kind.append(ids[key])
        run_ids = np.array(id_of_kind, np.int32)[which]
        lengths = np.diff(starts, append=codes.size)
        return PanopticMap(np.repeat(run_ids, lengths).reshape(labels.shape), tuple(segments))


def open_truth(
    source: Path, folder: Path | None = None, instances: Path | None = None, categories: Path | None = None
) -> MapSource:
    """Ground truth: a JSON with its folder of PNGs, or a folder of label PNGs.

    Args:
        source: the JSON, or the folder.
        folder: PNGs of the JSON; None for the one named like it.
        instances: instance PNGs beside semantic ones.
        categories: a JSON whose categories the label PNGs use; None for those of Cityscapes.
    """
    if not source.is_dir():
        _refuse(instances, source, "--gt-instances")
        return CocoMaps(source, folder)
    _refuse(folder, source, "--gt-dir")
    if instances is not None and categories is None:
        raise UserError(f"{source} holds semantic PNGs: name a JSON with their categories by --categories.")
    taxonomy = read_categories(categories) if categories else _cityscapes()
    return LabelPngs(source, taxonomy, is_truth=True, instances=instances)


def open_predictions(
    source: Path, taxonomy: Taxonomy, folder: Path | None = None, instances: Path | None = None
) -> MapSource:
    """Predictions of these classes, in any of the forms of ``open_truth``."""
    if not source.is_dir():
        _refuse(instances, source, "--pred-instances")
        return CocoMaps(source, folder, taxonomy)
    _refuse(folder, source, "--pred-dir")
    return LabelPngs(source, taxonomy, is_truth=False, instances=instances)


def _pngs(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: name a folder of label PNGs.")
    files = sorted(file for file in folder.rglob("*.png") if not file.name.startswith("."))
    files = [file for file in files if file.stem.endswith(_INSTANCES)] or files
    if not files:
        raise UserError(f"{folder} holds no PNG: name a folder of label PNGs.")
    first: dict[str, str] = {}
    for name in (file.name for file in files):
        if (other := first.setdefault(key_of(name), name)) is not name:
            raise UserError(f"{other} and {name} would both be the image {key_of(name)!r}: rename one of them.")
    return files


def _class_of_label(taxonomy: Taxonomy) -> dict[int, int | None]:
    """Label id -> class index, None for void."""
    void = [*_USUAL_VOID, *(_CITYSCAPES_LABELS if taxonomy == _cityscapes() else ())]
    return dict.fromkeys(void) | taxonomy.index_of_id


def _cityscapes() -> Taxonomy:
    from pantile.data.classes.cityscapes import TAXONOMY

    return TAXONOMY


def _refuse(given: Path | None, source: Path, option: str) -> None:
    if given is not None:
        what = "folder" if source.is_dir() else "JSON"
        raise UserError(f"{option} does not go with {source}, which is a {what}: leave it out.")
