"""``pantile data stats`` as typed."""

import json

import pytest

from pantile.cli.main import main
from pantile.data import Scenes, write_coco_panoptic
from pantile.labels.statistics import count_labels
from pantile.recipes.registry import make_recipe


@pytest.fixture
def folder(tmp_path):
    write_coco_panoptic(Scenes(3, size=(60, 80), seed=1), tmp_path / "data", "train")
    return tmp_path / "data"


def test_tables_and_json_tell_the_same(folder, tmp_path, capsys):
    truth = count_labels(Scenes(3, size=(60, 80), seed=1))
    least, most = min(truth.targets), max(truth.targets)
    assert main(["data", "stats", str(folder), "--queries", str(most - 1), "--json", str(tmp_path / "s.json")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    over = sum(count == most for count in truth.targets)
    for told in (
        f"3 images, {sum(truth.segments)} segments",
        f"{over} of 3 images have more than {most - 1} segments",
        "80 x 60",
        f"{100 * truth.void_share:.1f} % void",
        "▇",
    ):
        assert told in printed, told
    assert json.loads((tmp_path / "s.json").read_text()) == truth.to_dict(most - 1)
    assert least <= most


def test_a_recipe_brings_its_queries(folder, capsys):
    assert main(["data", "stats", str(folder), "--recipe", "remax_nano"]) == 0
    queries = make_recipe("remax_nano").model.num_queries
    assert f"{queries} queries are enough for every image" in capsys.readouterr().out


def test_a_model_without_queries_takes_any_number(folder, tmp_path, capsys):
    centers = next(name for name in _recipes() if not hasattr(make_recipe(name).model, "num_queries"))
    assert main(["data", "stats", str(folder), "--recipe", centers, "--json", str(tmp_path / "s.json")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "3 images" in printed and "segments by size" in printed and "its model has no queries" in printed
    assert json.loads((tmp_path / "s.json").read_text())["images"] == 3


def test_refuses_in_one_sentence(folder, capsys):
    for arguments, told in (
        (["--queries", "0"], "--queries is 0"),
        (["--recipe", "remax_nanno"], "did you mean 'remax_nano'"),
        (["--split", "val"], "no split 'val': choose one of train with --split"),
    ):
        assert main(["data", "stats", str(folder), *arguments]) == 2
        assert told in capsys.readouterr().err


def _recipes() -> list[str]:
    from pantile.recipes.registry import list_recipes

    return list_recipes()
