"""The verbs end to end on a tiny data set, and bad input: one sentence, exit code 2, nothing half-written."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pantile.cli.main import VERBS, main
from pantile.data import CocoPanoptic, Scenes, write_coco_panoptic
from pantile.engine.config import save_yaml
from tiny_runs import make_tiny_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A COCO-panoptic folder of six training and three validation images."""
    root = tmp_path_factory.mktemp("data")
    write_coco_panoptic(Scenes(6, size=(65, 65), seed=3), root, "train")
    write_coco_panoptic(Scenes(3, size=(65, 65), seed=4), root, "val")
    return root


@pytest.fixture(scope="module")
def config_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    save_yaml(make_tiny_config(), path)
    return path


@pytest.fixture(scope="module")
def run_folder(folder, config_file, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "--config", str(config_file), "--data", str(folder), "--out", str(run)]) == 0
    return run


@pytest.fixture
def copy_of_data(folder, tmp_path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "data"))


def refused(capsys, arguments: list) -> str:
    """Runs a verb that must fail; returns its sentence."""
    capsys.readouterr()
    assert main([str(a) for a in arguments]) == 2
    error = capsys.readouterr().err.strip()
    said = ("pantile: weights of ", "pantile: warning: ")
    lines = [line for line in error.splitlines() if line.startswith("pantile: ") and not line.startswith(said)]
    assert len(lines) == 1 and "Traceback" not in error
    return lines[0]


def edit_json(root: Path, split: str, change) -> None:
    path = root / "annotations" / f"panoptic_{split}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


# --- the way through -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    assert VERBS[verb] in " ".join(capsys.readouterr().out.split())


def test_eval_prints_and_writes_the_promised_json(run_folder, folder, tmp_path, capsys):
    target = tmp_path / "quality.json"
    assert main(["eval", str(run_folder), "--data", str(folder), "--json", str(target)]) == 0
    content = json.loads(target.read_text())["panoptic"]
    taxonomy = CocoPanoptic(folder, "val").taxonomy
    assert content.keys() == {"all", "things", "stuff", "per_class"}
    assert all(content[group].keys() == {"pq", "sq", "rq", "n"} for group in ("all", "things", "stuff"))
    assert content["per_class"].keys() == set(taxonomy.names)
    assert all(row.keys() == {"pq", "sq", "rq", "tp", "fp", "fn"} for row in content["per_class"].values())
    assert taxonomy.names[0] in capsys.readouterr().out


def test_predictions_are_a_coco_panoptic_folder_that_our_own_reader_accepts(run_folder, folder, tmp_path):
    out = tmp_path / "out"
    images = sorted((folder / "val").iterdir())
    assert main(["predict", str(run_folder), *map(str, images), "--out", str(out), "--to", "label-studio"]) == 0
    shutil.copytree(folder / "val", out / "predictions")
    tasks = json.loads((out / "label-studio" / "predictions.json").read_text())
    assert len(tasks) == len(list((out / "label-studio" / "images" / "predictions").iterdir())) == len(images)
    predictions = CocoPanoptic(out, "predictions")
    assert len(predictions) == len(images)
    for index in range(len(predictions)):
        image, panoptic = predictions.load(index)
        assert image.shape[:2] == panoptic.ids.shape
    content = json.loads((out / "annotations" / "panoptic_predictions.json").read_text())
    for annotation in content["annotations"]:
        for segment in annotation["segments_info"]:
            assert segment["area"] > 0 and len(segment["bbox"]) == 4 and 0 <= segment["score"] <= 1
    assert len(list((out / "overlays").glob("*.jpg"))) == len(images)


def test_report_is_one_page_with_every_part(run_folder, capsys):
    assert main(["report", str(run_folder), "--images", "1", "--neighbours", "1"]) == 0
    page = (run_folder / "report.html").read_text()
    for part in ("remax_nano", "Panoptic quality", "Best images", "query", "Nearest in the training set"):
        assert part in page
    assert Image.open(run_folder / "report_neighbours.png").width > 1000
    assert main(["report", str(run_folder), "--segment", "nothing.png:3"]) == 2
    assert "--segment nothing.png:3: give IMAGE:ID of a validation image, such as" in capsys.readouterr().err


def test_models_list_info_and_fields(capsys):
    assert main(["models", "list"]) == 0
    names = capsys.readouterr().out.split()
    assert {"remax_t_coco", "remax_b_coco", "kmax_convnext_large_coco", "remax_nano"} <= set(names)
    assert main(["models", "info", "remax_b_coco", "--json", "--size", "641x641"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["parameters"] == 56_580_120
    auxiliary_head, heads_of_remask = 15_856_742, 4 * 1_315_205
    assert info["training_only_parameters"] == auxiliary_head + heads_of_remask
    assert info["classes_of"] == "coco"
    assert info["multiply_adds"] == pytest.approx(74.3e9, rel=0.01)
    assert main(["models", "fields"]) == 0
    assert "techniques.remask.stages" in capsys.readouterr().out


def test_init_from_other_classes_matches_heads_by_name(run_folder, copy_of_data, config_file, tmp_path, capsys):
    def rename(content):
        content["categories"][0]["name"] = "something else"

    edit_json(copy_of_data, "train", rename)
    edit_json(copy_of_data, "val", rename)
    out = tmp_path / "run"
    assert main(["train", "--config", str(config_file), "--data", str(copy_of_data), "--init", str(run_folder),
                 "--out", str(out), "--set", "training.steps=1"]) == 0  # fmt: skip
    table = capsys.readouterr().err
    assert "something else" in table and "classes kept" in table and "classes dropped" in table


# --- bad input -------------------------------------------------------------------------------------------------------


def test_missing_folder_and_split(capsys, config_file, folder, tmp_path):
    out = tmp_path / "run"
    train = ["train", "--config", config_file, "--out", out, "--data"]
    assert str(tmp_path / "nowhere") in refused(capsys, [*train, tmp_path / "nowhere"])
    message = refused(capsys, [*train, folder, "--train-split", "trian"])
    assert "trian" in message and "train" in message and "val" in message
    assert not out.exists()


def test_id_in_the_png_that_the_json_lacks(capsys, run_folder, copy_of_data, tmp_path):
    edit_json(copy_of_data, "val", lambda c: c["annotations"][0]["segments_info"].pop())
    target = tmp_path / "quality.json"
    message = refused(capsys, ["eval", run_folder, "--data", copy_of_data, "--json", target])
    assert ".png" in message and "id" in message
    assert not target.exists()


def test_segment_in_the_json_that_the_png_lacks(capsys, run_folder, copy_of_data):
    def add(content):
        first = content["annotations"][0]["segments_info"]
        first.append(first[0] | {"id": 12345})

    edit_json(copy_of_data, "val", add)
    assert "12345" in refused(capsys, ["eval", run_folder, "--data", copy_of_data])


def test_unknown_category(capsys, run_folder, copy_of_data):
    def change(content):
        content["annotations"][0]["segments_info"][0]["category_id"] = 777

    edit_json(copy_of_data, "val", change)
    message = refused(capsys, ["eval", run_folder, "--data", copy_of_data])
    assert "777" in message and "panoptic_val.json" in message


def test_image_that_does_not_decode(capsys, run_folder, copy_of_data, config_file, tmp_path):
    broken = sorted((copy_of_data / "val").iterdir())[0]
    broken.write_bytes(b"this is no image")
    assert broken.name in refused(capsys, ["eval", run_folder, "--data", copy_of_data])
    out = tmp_path / "out"
    assert broken.name in refused(capsys, ["predict", run_folder, copy_of_data / "val", "--out", out])
    assert not out.exists()


def test_broken_training_image_stops_before_the_run_folder_is_made(capsys, copy_of_data, config_file, tmp_path):
    broken = sorted((copy_of_data / "train").iterdir())[0]
    broken.write_bytes(b"this is no image")
    out = tmp_path / "run"
    message = refused(capsys, ["train", "--config", config_file, "--data", copy_of_data, "--out", out])
    assert broken.name in message
    assert not out.exists()


def test_png_of_another_size(capsys, run_folder, copy_of_data):
    path = sorted((copy_of_data / "annotations" / "panoptic_val").iterdir())[0]
    Image.fromarray(np.zeros((10, 10, 3), np.uint8)).save(path)
    assert path.name in refused(capsys, ["eval", run_folder, "--data", copy_of_data])


def test_split_without_a_segment_warns_and_trains(copy_of_data, config_file, tmp_path, recwarn):
    def empty(content):
        for annotation in content["annotations"]:
            annotation["segments_info"] = []

    edit_json(copy_of_data, "train", empty)
    for png in (copy_of_data / "annotations" / "panoptic_train").iterdir():
        Image.fromarray(np.zeros((65, 65, 3), np.uint8)).save(png)
    assert main(["train", "--config", str(config_file), "--data", str(copy_of_data), "--out", str(tmp_path / "run"),
                 "--set", "training.steps=2"]) == 0  # fmt: skip
    assert any("no segment" in str(warning.message) for warning in recwarn)


def test_more_segments_than_queries_warns_with_counts(folder, config_file, tmp_path, recwarn):
    assert main(["train", "--config", str(config_file), "--data", str(folder), "--out", str(tmp_path / "run"),
                 "--set", "model.num_queries=3", "training.steps=1"]) == 0  # fmt: skip
    assert any("6 of 6 images have more segments" in str(warning.message) for warning in recwarn)


def test_checkpoint_of_other_classes(capsys, run_folder, copy_of_data):
    edit_json(copy_of_data, "val", lambda c: c["categories"][0].update(name="zebra"))
    message = refused(capsys, ["eval", run_folder, "--data", copy_of_data])
    assert "zebra" in message and "--init" in message


def test_misspelt_fields_recipes_and_missing_arguments(capsys, folder, tmp_path):
    train = ["train", "remax_nano", "--data", folder, "--out", tmp_path / "run"]
    assert "did you mean 'training.steps'" in refused(capsys, [*train, "--set", "training.stepss=3"])
    assert "did you mean 'remax_nano'" in refused(capsys, ["train", "remax_nan", "--data", folder])
    assert "--data is missing" in refused(capsys, ["train", "remax_nano"])
    assert "--resume needs --out" in refused(capsys, ["train", "--resume", "--data", folder])
    assert not (tmp_path / "run").exists()


def test_settings_that_do_not_fit_and_empty_splits(capsys, config_file, copy_of_data, tmp_path):
    out = tmp_path / "run"
    train = ["train", "--config", config_file, "--data", copy_of_data, "--out", out]
    message = refused(capsys, [*train, "--set", "techniques.remask.stages=9"])
    assert "techniques.remask.stages is 9" in message
    edit_json(copy_of_data, "val", lambda content: content.update(images=[], annotations=[]))
    assert "validation split has no image" in refused(capsys, train)
    assert not out.exists()


def test_run_folder_that_exists(capsys, run_folder, folder, config_file):
    before = sorted(run_folder.rglob("*"))
    message = refused(capsys, ["train", "--config", config_file, "--data", folder, "--out", run_folder])
    assert "--resume" in message
    assert sorted(run_folder.rglob("*")) == before


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken"])
@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_damaged_checkpoints(capsys, folder, tmp_path, content, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    assert path.name in refused(capsys, ["eval", path, "--data", folder])


def test_missing_checkpoint_and_foreign_checkpoint(capsys, folder, tmp_path):
    import torch

    assert "no such checkpoint" in refused(capsys, ["eval", tmp_path / "absent", "--data", folder])
    assert "the folder holds neither" in refused(capsys, ["eval", tmp_path, "--data", folder])
    torch.save({"model": {}}, tmp_path / "foreign.ckpt")
    assert "pantile convert" in refused(capsys, ["eval", tmp_path / "foreign.ckpt", "--data", folder])


def test_prediction_input_that_is_missing_or_ambiguous(capsys, run_folder, folder, tmp_path):
    out = tmp_path / "out"
    assert "no such image" in refused(capsys, ["predict", run_folder, tmp_path / "absent.jpg", "--out", out])
    (tmp_path / "empty").mkdir()
    assert "holds no image" in refused(capsys, ["predict", run_folder, tmp_path / "empty", "--out", out])
    image = sorted((folder / "val").iterdir())[0]
    shutil.copy(image, tmp_path / image.name)
    assert "rename one" in refused(capsys, ["predict", run_folder, image, tmp_path / image.name, "--out", out])
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "least"),
    [("report RUN --images -1", 0), ("report RUN --limit 0", 1), ("eval RUN --limit none", 1), ("demo --steps 0", 1)],
)
def test_counts_that_cannot_be_meant_are_refused_as_they_are_read(arguments, least, capsys):
    with pytest.raises(SystemExit) as refused:
        main(arguments.split())
    assert refused.value.code == 2
    assert f"give a whole number from {least}" in capsys.readouterr().err
