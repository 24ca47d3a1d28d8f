"""A pipe with the name of a photo, of a label or of a description is refused, not waited for."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from official_folders import write_cityscapes

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.data import Scenes, open_dataset, write_coco_panoptic
from pantile.data.coco_json import read_coco_json
from pantile.engine.checkpoint import load_checkpoint
from pantile.engine.config import load_yaml
from pantile.engine.run_record import load_record
from pantile.predict import read_ground_truth
from pantile.predict.predictor import as_pixels
from pantile.score import open_truth
from pantile.score.png_file import read_grey_png, read_id_png
from time_limit import within


def into_pipe(path: Path) -> Path:
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    "read",
    [
        as_pixels,
        read_coco_json,
        read_ground_truth,
        read_id_png,
        read_grey_png,
        load_checkpoint,
        load_yaml,
        lambda path: open_truth(path, None, None, None),
        regular_file,
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".safetensors"])
def test_no_reader_waits_for_a_pipe(read: Callable, suffix: str, tmp_path: Path) -> None:
    path = into_pipe(tmp_path / f"x{suffix}")
    with within(5), pytest.raises(UserError, match="is a pipe"):
        read(path)


def test_a_run_whose_record_is_a_pipe(tmp_path: Path) -> None:
    into_pipe(tmp_path / "run.json")
    with within(5), pytest.raises(UserError, match="is a pipe"):
        load_record(tmp_path)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        regular_file(tmp_path)
    with pytest.raises(UserError, match="is a device"):
        regular_file(Path(os.devnull))
    with pytest.raises(FileNotFoundError):
        regular_file(tmp_path / "absent")


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_a_description_that_is_no_file_is_told(kind: str, tmp_path: Path) -> None:
    """Passing over it would lose bands, range and orientation without a word."""
    coco(tmp_path)
    path = tmp_path / "dataset.yaml"
    {"pipe": os.mkfifo, "folder": os.mkdir, "link": lambda own: own.symlink_to("nowhere")}[kind](path)
    with within(5), pytest.raises(UserError, match=r"dataset\.yaml"):
        open_dataset(tmp_path, "train")


def cityscapes(root: Path) -> None:
    write_cityscapes(root, "train", {"aachen_0": np.full((8, 9), 7, np.int32)})


def coco(root: Path) -> None:
    write_coco_panoptic(Scenes(1, size=(33, 33)), root, "train")


@pytest.mark.parametrize("write", [cityscapes, coco])
def test_every_file_of_a_data_set(write: Callable, tmp_path: Path) -> None:
    write(tmp_path)
    for path in sorted(
        p
        for p in tmp_path.rglob("*")
        if p.is_file() and not p.match("*_labelIds.png") and not p.match("*_polygons.json")
    ):
        content = path.read_bytes()
        into_pipe(path)
        with within(5), pytest.raises(UserError):
            list(open_dataset(tmp_path, "train"))
        path.unlink()
        path.write_bytes(content)
    assert len(list(open_dataset(tmp_path, "train"))) == 1
