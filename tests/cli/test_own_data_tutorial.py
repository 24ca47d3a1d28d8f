"""docs/own_data.md works as typed: every command of its sh blocks, in order, in an empty folder."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pantile.cli.main import main
from pantile.data import CocoPanoptic, open_dataset

PAGE = Path(__file__).parents[2] / "docs" / "own_data.md"
LINK = re.compile(r"\]\(([^)#]+\.md)")
SHELL_SIGNS = re.compile(r"[|&;<>$`*?~]")  # what a shell would change before pantile sees it


def commands(page: str) -> list[str]:
    """Commands of the sh blocks; one goes on after a backslash and through a here-document."""
    found: list[str] = []
    for block in re.findall(r"^```sh\n(.*?)^```", page, flags=re.S | re.M):
        lines = iter(block.splitlines())
        for line in lines:
            command = line
            while command.endswith("\\"):
                command = f"{command[:-1]} {next(lines).strip()}"
            document = re.search(r"<<'(\w+)'$", command)
            while document and not command.endswith(f"\n{document[1]}"):
                command += "\n" + next(lines)
            found += [command] if command.strip() else []
    return found


def run(command: str) -> int:
    """Verbs in this process, which saves importing torch a dozen times; everything else in a shell."""
    if not command.startswith("pantile "):
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.run(["bash", "-e", "-c", command], env=os.environ | {"PATH": path}).returncode
    assert not SHELL_SIGNS.search(command), f"{command}: would need a shell"
    return main(shlex.split(command)[1:])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the page has been typed."""
    root = tmp_path_factory.mktemp("tutorial")
    before = Path.cwd()
    os.chdir(root)
    try:
        for command in commands(PAGE.read_text()):
            assert run(command) == 0, command
    finally:
        os.chdir(before)
    return root


def test_commands_are_found() -> None:
    first, second = "cat > a <<'END'\npantile no\nEND\n\npantile x \\\n  y\n", "ls\n"
    page = f"```sh\n{first}```\n```python\npantile no\n```\n```sh\n{second}```\n"
    assert commands(page) == [
        "cat > a <<'END'\npantile no\nEND",
        "pantile x  y",
        "ls",
    ]
    verbs = {re.match(r"pantile ((?:data )?\w+)", c)[1] for c in commands(PAGE.read_text()) if c.startswith("pantile ")}
    of_data = {f"data {verb}" for verb in ("convert", "check", "show", "stats", "split")}
    assert verbs == {"train", "eval", "predict", "report"} | of_data


def test_links_lead_somewhere() -> None:
    assert all((PAGE.parent / link).is_file() for link in LINK.findall(PAGE.read_text()))
    assert "docs/own_data.md" in (PAGE.parents[1] / "README.md").read_text()


def test_both_tools_give_the_same_maps(folder: Path) -> None:
    labelme = CocoPanoptic(folder / "panoptic", "train")
    coco = CocoPanoptic(folder / "panoptic_from_coco", "polygons")
    assert len(labelme) == len(coco) == 16
    assert labelme.taxonomy == coco.taxonomy
    assert [c.name for c in labelme.taxonomy.classes if c.is_thing] == ["house", "tree"]
    for index in range(16):
        ours, theirs = labelme.load_map(index), coco.load_map(index)
        assert np.array_equal(ours.ids, theirs.ids) and ours.segments == theirs.segments


def test_labels_are_where_the_polygons_were_drawn(folder: Path) -> None:
    """In the middle of the nearest thing is its class, at the top of the photo sky."""
    dataset = CocoPanoptic(folder / "panoptic", "train")
    for index in range(len(dataset)):
        panoptic = dataset.load_map(index)
        class_of = {segment.id: dataset.taxonomy.names[segment.class_index] for segment in panoptic.segments}
        shapes = json.loads((folder / "labelme" / dataset.name_of(index)).with_suffix(".json").read_text())["shapes"]
        x, y = np.mean(shapes[-1]["points"], axis=0)  # the nearest thing, whose shape is convex
        assert class_of[panoptic.ids[int(y), int(x)]] == shapes[-1]["label"]
        assert class_of[panoptic.ids[0, 0]] == "sky" and class_of[panoptic.ids[-1, -1]] in ("grass", "house", "tree")


def test_splits_and_the_described_folder_hold_the_same_labels(folder: Path) -> None:
    sizes = {split: len(CocoPanoptic(folder / "data", split)) for split in ("train", "val")}
    assert sizes == {"train": 12, "val": 4}
    for split, size in sizes.items():
        pairs, panoptic = open_dataset(folder / "pngs", split), CocoPanoptic(folder / "data", split)
        names = [panoptic.name_of(k) for k in range(size)]
        assert [pairs.name_of(k) for k in range(size)] == sorted(names)
        for k, name in enumerate(sorted(names)):
            (image, ours), (other, theirs) = pairs.load(k), panoptic.load(names.index(name))
            assert np.array_equal(image, other)
            assert sorted(_segments(ours)) == sorted(_segments(theirs))


def _segments(panoptic) -> list[tuple[int, bytes]]:
    return [(segment.class_index, (panoptic.ids == segment.id).tobytes()) for segment in panoptic.segments]


def test_what_the_page_promises_is_there(folder: Path) -> None:
    quality = json.loads((folder / "quality.json").read_text())
    assert 0 <= quality["panoptic"]["all"]["pq"] <= 1
    assert set(quality["panoptic"]["per_class"]) == {"grass", "house", "sky", "tree"}
    predictions = CocoPanoptic(folder / "predictions", "predictions", need_images=False)
    assert len(predictions) == 4
    for index in range(4):
        assert predictions.load_map(index).size == (120, 160)
    overlays = sorted((folder / "predictions" / "overlays").iterdir())
    for picture in (*overlays, folder / "look" / "contact_sheet.png", folder / "look_pngs" / "contact_sheet.png"):
        assert np.asarray(Image.open(picture)).std() > 10, picture
    assert len(overlays) == 4
    for page in (folder / "look" / "index.html", folder / "runs" / "first" / "report.html"):
        assert "photo_" in page.read_text(encoding="utf-8")
