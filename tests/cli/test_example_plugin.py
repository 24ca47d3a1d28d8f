"""The package in ``examples/``, installed beside Pantile: its parts work, and are named where it is not installed."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from setuptools import build_meta

from pantile.cli.main import main
from pantile.data import CocoPanoptic

EXAMPLE = Path(__file__).parents[2] / "examples" / "pantile_example"

FLOW = """
from pantile.cli.main import main

def call(*arguments):
    print("== code", main(list(arguments)), flush=True)

settings = ["techniques.label_smoothing.amount=0.1", "training.steps=1", "training.effective_batch=2"]
settings += ["training.workers=0", "training.validation_images=1"]
settings += ["augment.crop=[64,64]", "evaluation_size=[64,64]"]
import pantile
print("== missing", pantile.check_model("tiny_queries_nano", round_trips=False))
call("train", "tiny_queries_nano", "--data", "masks", "--out", "run", "--set", *settings)
call("eval", "run", "--data", "masks", "--json", "eval.json")
call("report", "run", "--images", "1")
call("data", "convert", "masks", "coco", "--from", "color-masks")
"""


def write_masks(root: Path) -> None:
    """A photo a split, with two cars on a road, and a strip of no class."""
    (root / "colors.txt").parent.mkdir()
    (root / "colors.txt").write_text("car thing 0 0 142\nroad stuff 128 64 128\n")
    mask = np.full((64, 64, 3), (128, 64, 128), np.uint8)
    mask[8:24, 8:24], mask[8:24, 40:56], mask[60:] = (0, 0, 142), (0, 0, 142), 0
    for split in ("train", "val"):
        for folder in ("images", "masks"):
            (root / split / folder).mkdir(parents=True)
            Image.fromarray(mask).save(root / split / folder / "street.png")


@pytest.fixture(scope="module")
def flow(tmp_path_factory) -> tuple[str, Path]:
    """What all verbs of ``FLOW`` print in one process with the example installed, and the folder with their files."""
    folder = tmp_path_factory.mktemp("example")
    source = folder / "source"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    (folder / "metadata").mkdir()
    with pytest.MonkeyPatch.context() as patch:  # what pip does, without the time that a process of its own takes
        patch.chdir(source)
        build_meta.prepare_metadata_for_build_wheel(str(folder / "metadata"))
    write_masks(folder / "masks")
    path = [str(folder / "metadata"), str(source / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-c", FLOW],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.stdout.count("== code 0\n") == 4, done.stdout
    assert "== missing []\n" in done.stdout
    return done.stdout, folder


def test_the_run_names_the_parts_that_it_is_made_of(flow):
    _, folder = flow
    used = "pantile-example 0.1.0: architecture 'tiny_queries', technique 'label_smoothing'"
    assert used in (folder / "run" / "config.yaml").read_text()
    assert json.loads((folder / "run" / "run.json").read_text())["plugins"] == {
        "pantile-example 0.1.0": "data layout 'color-masks'"
    }


def test_the_layout_is_read_and_converted(flow):
    _, folder = flow
    dataset = CocoPanoptic(folder / "coco", "val")
    _, panoptic = dataset.load(0)
    names = [dataset.taxonomy.names[segment.class_index] for segment in panoptic.segments]
    assert sorted(names) == ["car", "car", "road"]
    assert sorted(np.bincount(panoptic.ids.ravel())) == [256, 256, 256, 64 * 64 - 3 * 256]


def test_the_metric_is_printed_written_and_reported(flow):
    printed, folder = flow
    counting = json.loads((folder / "eval.json").read_text())["counting"]
    assert counting["images"] == 1 and counting["error"] >= 0
    told = f"{counting['error']:.1f} things too many or too few in "
    assert f"counting: {told}an image" in printed
    page = (folder / "run" / "report.html").read_text()
    assert re.search(r'<section id="counting">\s*<h2>Counting</h2>', page) and f"{told}each of 1 images" in page


def test_its_parts_are_named_where_it_is_not_installed(flow, tmp_path, capsys):
    run, masks = str(flow[1] / "run"), str(flow[1] / "masks")
    needs = "needs parts of packages that are not installed: pantile-example 0.1.0 ({} '{}'"
    for command, *part in (
        (["eval", run, "--data", "scenes:1"], "architecture", "tiny_queries"),
        (["train", "--resume", "--out", run], "data layout", "color-masks"),
    ):
        assert main(command) == 2
        assert needs.format(*part) in capsys.readouterr().err
    for command, told in (
        (["train", "tiny_queries_nano", "--data", "scenes:8"], "There is no recipe 'tiny_queries_nano'"),
        (["train", "kmax_nano", "--data", masks], f"{masks} holds no annotations/panoptic_<split>.json"),
        (["data", "convert", masks, str(tmp_path / "coco"), "--from", "color-masks"], "--from 'color-masks'"),
    ):
        assert main([*command, *(["--out", str(tmp_path / "run")] if command[0] == "train" else [])]) == 2
        assert told in capsys.readouterr().err
