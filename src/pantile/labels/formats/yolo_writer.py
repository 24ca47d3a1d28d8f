"""YOLO-seg, written: an outline along the edges of pixels for every segment, parts and holes joined by lines."""

from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from pantile.contracts.taxonomy import Taxonomy
from pantile.labels.registry import WRITERS
from pantile.labels.writing.edge_outlines import edge_outline
from pantile.labels.writing.tool_writer import ToolWriter


@WRITERS.register("yolo-seg")
class YoloWriter(ToolWriter):
    """``data.yaml``, ``images/<split>`` and ``labels/<split>``; the numbers of classes count from 0."""

    def __init__(self, root: Path, taxonomy: Taxonomy) -> None:
        super().__init__(root, taxonomy)
        self._splits: list[str] = []

    def add(self, split: str, image_name: str, size: tuple[int, int], masks: list[tuple[str, np.ndarray]]) -> None:
        height, width = size
        lines = []
        for name, mask in masks:
            shares = [f"{x / width:.8g} {y / height:.8g}" for x, y in edge_outline(mask)]
            lines.append(f"{self.taxonomy.names.index(name)} {' '.join(shares)}\n")
        path = self.root / "labels" / split / f"{PurePosixPath(image_name).stem}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")

    def finish(self, split: str) -> None:
        """Writes the classes, twice: as YOLO has them and as a list that knows things and stuff."""
        super().finish(split)
        self._splits.append(split)
        folders = {own: f"images/{own}" for own in self._splits}
        data = {"path": ".", **folders, "names": dict(enumerate(self.taxonomy.names))}
        (self.root / "data.yaml").write_text(
            yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
