"""``pantile models list``: what it shows to people, pipes and programs, and the page of the docs that it makes."""

import json
from pathlib import Path

import pytest

from pantile.cli.main import main
from pantile.recipes import list_recipes
from pantile.recipes.registry import ALL_RECIPES, family_title

PAGE = Path(__file__).parents[2] / "docs" / "zoo.md"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["models", "list", *arguments]) == 0
    return capsys.readouterr().out


@pytest.fixture
def foreign_recipe():
    """A recipe that has no card, as a plugin's."""
    name = "zebra_nano"
    ALL_RECIPES.register(name)(dict)
    yield name
    ALL_RECIPES.remove(name)


def test_the_page_is_what_the_command_writes(capsys):
    """``pantile models list --markdown > docs/zoo.md`` writes it."""
    assert PAGE.read_text() == printed(capsys, "--markdown")


def test_every_recipe_is_in_every_form(capsys, monkeypatch, foreign_recipe):
    everything = list_recipes()
    assert foreign_recipe in everything
    assert printed(capsys, "--names").splitlines() == everything
    assert [line.split()[0] for line in printed(capsys).splitlines()] == everything
    assert [card["name"] for card in json.loads(printed(capsys, "--json"))] == everything
    page = printed(capsys, "--markdown")
    assert f"| `{foreign_recipe}` |  |  |  |  |" in page
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert sorted(rows) == everything
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    shown = [line.split()[0] for line in printed(capsys).splitlines() if line.startswith("  ") and line[2] != " "]
    assert sorted(shown) == everything


def test_people_see_families_and_results_within_the_width(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    lines = printed(capsys, "kmax_r50", "ade20k").splitlines()
    assert lines[0] == "kMaX-DeepLab (Yu et al., ECCV 2022)"
    assert lines[1:3] == [
        "  kmax_r50_ade20k_1281  56.6 M  panoptic  ade20k  PQ 42.3; 42.2 of the PyTorch",
        " " * 50 + "port",
    ]


def test_a_pipe_gets_a_line_for_each(capsys):
    assert printed(capsys, "kmax_r50", "ade20k").splitlines() == [
        "kmax_r50_ade20k_1281  56.6 M  panoptic  ade20k  PQ 42.3; 42.2 of the PyTorch port",
        "kmax_r50_ade20k_641   56.6 M  panoptic  ade20k  PQ 41.5",
    ]


def test_programs_get_results_in_parts(capsys):
    (card,) = json.loads(printed(capsys, "--json", "upernet_swin_s_ade20k", "--max-size", "83"))
    assert 80 < card.pop("million_parameters") < 90
    assert card == {
        "name": "upernet_swin_s_ade20k",
        "task": "semantic",
        "data": "ade20k",
        "published": [
            {"metric": "mIoU", "value": 47.72, "condition": ""},
            {"metric": "mIoU", "value": 49.24, "condition": "multi-scale"},
        ],
    }


def test_words_look_in_name_task_and_data(capsys):
    def names(*arguments: str) -> list[str]:
        return printed(capsys, "--names", *arguments).splitlines()

    assert names("Swin_t", "cityscapes_inst") == ["mask2former_swin_t_cityscapes_instance"]
    assert names("video", "panoptic", "vipseg") == ["videomt_l_vipseg"]
    assert "segmenter_b_coco_lvis" in names("semantic", "coco")
    assert "segmenter_b_coco_lvis" not in names("semantic", "--data", "coco_stuff10k")
    assert "videomt_nano" not in names("--task", "panoptic") and "max_nano" in names("--task", "panoptic")
    assert names("--task", "multi-label") == ["query2label_nano"]
    assert set(names("--data", "any")) >= {name for name in list_recipes() if name.endswith("_nano")}
    assert "remax_t_coco" in names("--max-size", "20") and "remax_s_coco" not in names("--max-size", "20")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["yolo"], "No recipe has yolo in its name, task or data set: ask for less."),
        (["nano", "--max-size", "0.01"], "in its name, task or data set and at most 0.01 million parameters"),
        (["--data", "kitti"], "--data kitti: no recipe is for it; there are ade20k,"),
    ],
)
def test_what_nothing_fits_is_said(capsys, arguments, told):
    assert main(["models", "list", *arguments]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--task", "detection"], "there is no task 'detection': choose panoptic,"),
        (["--max-size", "0"], "give a number above 0"),
        (["--json", "--names"], "not allowed with argument"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(capsys, arguments, told):
    with pytest.raises(SystemExit):
        main(["models", "list", *arguments])
    assert told in capsys.readouterr().err


def test_info_says_what_a_recipe_is_and_what_changes_it(capsys):
    assert main(["models", "info", "eomt_s_coco", "--size", "64x64"]) == 0
    out = capsys.readouterr().out
    assert ("task" in out) and ("panoptic" in out) and ("PQ 46.7" in out)
    assert out.endswith("`pantile models fields --of eomt_s_coco` shows what --set changes.\n")


def test_a_family_is_called_by_the_docstring_of_its_module():
    assert family_title("remax_b_coco") == "ReMaX (Sun et al., NeurIPS 2023)"
    titles = {name: family_title(name) for name in list_recipes() if name not in ALL_RECIPES.foreign()}
    assert [name for name, title in titles.items() if not 0 < len(title) <= 80] == []
