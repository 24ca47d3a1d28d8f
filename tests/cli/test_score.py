"""``pantile score``: what it prints and writes, and mistakes in one sentence."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from pantile.cli.main import main
from pantile.data import Scenes, write_coco_panoptic


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Ground truth of six scenes; predictions of the first five, without categories and of one class fewer."""
    root = tmp_path_factory.mktemp("score")
    write_coco_panoptic(Scenes(6, size=(65, 65), seed=3), root, "val")
    gt = root / "annotations" / "panoptic_val.json"
    content = json.loads(gt.read_text())
    (root / "pred.json").write_text(json.dumps({"annotations": content["annotations"][:5]}))
    return root


def arguments(root: Path, *more: object) -> list[str]:
    gt = root / "annotations" / "panoptic_val.json"
    given = ["score", "--gt", gt, "--pred", root / "pred.json", "--pred-dir", gt.with_suffix(""), *more]
    return [str(argument) for argument in given]


def test_prints_the_few_numbers_first_and_writes_the_json(files, tmp_path, capsys):
    target = tmp_path / "score.json"
    with pytest.warns(UserWarning, match="1 of 6 images have no prediction"):
        assert main(arguments(files, "--json", target)) == 0
    printed = capsys.readouterr().out
    parts = ("PQ ", "1 of 6 images have no prediction", "boundary", "small (under 32 x 32)", "accuracy")
    positions = [printed.index(part) for part in (*parts, "Which class swallowed which", "Worst images")]
    assert positions == sorted(positions)
    content = json.loads(target.read_text())
    assert content["images"] == {"scored": 6, "without_prediction": 1, "unknown": 0}
    assert 0.5 < content["panoptic"]["all"]["pq"] < 1
    assert f"PQ {100 * content['panoptic']['all']['pq']:.1f}" in printed
    assert content["thing_pixels"]["precision"] == 1
    assert {row["predicted"] for row in content["class_confusion"]} == {None}


@pytest.mark.parametrize(
    ("only", "shown", "groups"),
    [
        ("pq", (), set()),
        ("boundary", ("boundary",), {"boundary_panoptic"}),
        ("sizes", ("small (under 32 x 32)",), {"panoptic_by_size"}),
        ("things", ("accuracy",), {"thing_pixels", "thing_confusion"}),
        ("miou", ("Which class swallowed which",), {"semantic", "class_confusion"}),
        ("errors", ("What repairing each kind would gain",), {"panoptic_errors"}),
    ],
)
@pytest.mark.filterwarnings("ignore:1 of 6 images")
def test_only_what_is_asked_for_is_computed(files, tmp_path, capsys, monkeypatch, only, shown, groups):
    counted = {
        "boundary": "boundary_counts",
        "things": "thing_pixels",
        "miou": "class_pixels",
        "errors": "errors_of",
    }
    for name in counted.keys() - {only}:
        monkeypatch.setattr(f"pantile.score.evidence.{counted[name]}", None)
    target = tmp_path / "score.json"
    assert main(arguments(files, "--only", only, "--json", target, "--workers", 1)) == 0
    printed = capsys.readouterr().out
    every = ("boundary", "small (under 32 x 32)", "accuracy", "Which class swallowed which", "What repairing each kind")
    assert [part for part in every if part in printed] == [part for part in every if part in " ".join(shown)]
    assert json.loads(target.read_text()).keys() == {"panoptic", "worst_images", "images"} | groups


@pytest.mark.filterwarnings("ignore:1 of 6 images")
def test_mistakes_by_kind_are_told_where_they_are_asked_for(files, tmp_path, capsys, monkeypatch):
    target = tmp_path / "score.json"
    assert main(arguments(files, "--errors", "--only", "pq", "--json", target, "--workers", 2)) == 0
    printed = capsys.readouterr().out
    content = json.loads(target.read_text())
    kinds = content["panoptic_errors"]["kinds"]
    missed = sum(row["fn"] for row in content["panoptic"]["per_class"].values())
    assert kinds["missed"]["fn"] == missed > 0  # those of the image without a prediction; all else is perfect
    assert kinds["missed"]["lost_pq"] == pytest.approx(1 - content["panoptic"]["all"]["pq"])
    assert {kind for kind, row in kinds.items() if row["lost_pq"]} == {"missed"}
    assert re.search(rf"missed +{100 * kinds['missed']['lost_pq']:.1f} .* {missed} +0 +0", printed)

    assert main(several(files, "--only", "errors", "--json", target)) == 0
    assert "PQ lost to each kind of mistake" in capsys.readouterr().out
    assert json.loads(target.read_text())["predictions"]["pred"]["panoptic_errors"]["kinds"] == kinds
    monkeypatch.setattr("pantile.score.evidence.errors_of", None)
    assert main(arguments(files, "--workers", 1)) == 0


def test_a_perfect_score_has_nothing_to_complain_about(files, capsys):
    assert main(arguments(files, "--limit", 5, "--workers", 1)) == 0
    printed = capsys.readouterr().out
    assert "PQ 100.0" in printed and "on 5 images" in printed
    assert "swallowed" not in printed and "Worst" not in printed and "no prediction" not in printed


def several(root: Path, *more: object) -> list[str]:
    gt = root / "annotations" / "panoptic_val.json"
    folder = gt.with_suffix("")
    given = ["score", "--gt", gt, "--pred", gt, root / "pred.json", "--pred-dir", folder, folder, "--workers", 1, *more]
    return [str(argument) for argument in given]


@pytest.mark.filterwarnings("ignore:1 of 6 images")
def test_several_predictions_are_compared(files, tmp_path, capsys):
    target, page = tmp_path / "score.json", tmp_path / "score.html"
    assert main(several(files, "--only", "pq", "--json", target, "--html", page)) == 0
    printed = capsys.readouterr().out
    assert "less panoptic_val" in printed and "Images that changed most" in printed
    content = json.loads(target.read_text())
    assert content["predictions"].keys() == {"panoptic_val", "pred"}
    (changed,) = content["comparison"]["changed_images"]
    assert changed["pq"] == {"panoptic_val": 1, "pred": 0}
    assert content["comparison"]["pq_delta"]["all"]["pred"]["value"] < 0
    text = page.read_text()
    assert text.count("data:image/jpeg") == 5 and changed["file_name"] in text and "http" not in text


def test_mistakes_about_several_predictions(files, tmp_path, capsys):
    gt = files / "annotations" / "panoptic_val.json"
    for given, sentence in (
        (arguments(files, "--html", tmp_path / "a.html"), "--html compares predictions: name several by --pred."),
        ([*several(files), "--pred-dir", str(files)], "--pred-dir has 1 folders for 2 predictions: give as many."),
        (["score", "--gt", str(gt), "--pred", str(gt), str(gt)], "--pred names the same predictions twice"),
    ):
        capsys.readouterr()
        assert main(given) == 2
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "a.html").exists()


def test_nothing_to_score(files, tmp_path, capsys):
    content = json.loads((files / "annotations" / "panoptic_val.json").read_text())
    for name in ("gt", "pred"):
        (tmp_path / f"{name}.json").write_text(json.dumps(content | {"annotations": []}))
        (tmp_path / name).mkdir()
    with pytest.warns(UserWarning, match="nothing to score"):
        assert main(["score", "--gt", str(tmp_path / "gt.json"), "--pred", str(tmp_path / "pred.json")]) == 0
    assert "PQ -  on 0 images" in capsys.readouterr().out


def test_mistakes_are_told_in_one_sentence(files, tmp_path, capsys):
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    for given, sentence in (
        (arguments(files, "--workers", 0), "--workers is 0: give a whole number from 1."),
        (
            arguments(files, "--only", "pq", "stq"),
            "--only names 'stq': of images there are pq, sizes, boundary, things, miou, errors",
        ),
        (arguments(files, "--limit", -1), "--limit is -1: give a whole number from 1."),
        (arguments(files, "--gt", broken), "is not valid JSON"),
        (arguments(files, "--gt-dir", tmp_path / "nowhere"), "nowhere is not a folder"),
        (arguments(files, "--gt", tmp_path / "nowhere.json"), "nowhere.json cannot be read"),
        (arguments(files, "--pred-instances", tmp_path), "--pred-instances does not go with"),
    ):
        capsys.readouterr()
        assert main(given) == 2
        error = capsys.readouterr().err.strip()
        assert error.startswith("pantile: ") and "\n" not in error and sentence in error


def test_real_annotations_are_perfect_against_themselves(real_data, tmp_path):
    gt = real_data / "coco_sample" / "annotations" / "panoptic_val2017.json"
    target = tmp_path / "score.json"
    assert main(["score", "--gt", str(gt), "--pred", str(gt), "--json", str(target), "--workers", "2"]) == 0
    content = json.loads(target.read_text())
    assert content["panoptic"]["all"]["pq"] == content["boundary_panoptic"]["all"]["pq"] == 1
    assert np.isclose(content["thing_pixels"]["accuracy"], 1)


def test_the_page_of_documentation_works_as_typed(tmp_path, monkeypatch, capsys):
    page = Path(__file__).parents[2] / "docs" / "score.md"
    blocks = re.findall(r"```(python|sh)\n(.*?)```", page.read_text(), flags=re.S)
    assert [language for language, _ in blocks] == ["python", *["sh"] * 3, *["python"] * 2, "sh", "python"]
    monkeypatch.chdir(tmp_path)
    for language, text in blocks:
        if language == "python":
            exec(text, {})
            continue
        for line in text.splitlines():
            words = shlex.split(line)
            assert words[0] == "pantile" and main(words[1:]) == 0
    assert json.loads((tmp_path / "score.json").read_text())["panoptic"]["all"]["pq"] == 1
    assert "PQ 100.0" in capsys.readouterr().out
