"""Predicting folders: what is there already, what cannot be used, what an interruption leaves, whose names count."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.image_files import read_panoptic_png
from pantile.engine.task import PanopticTask
from pantile.predict import (
    PredictOptions,
    Predictor,
    files,
    find_images,
    image_stages,
    predict_files,
    read_ground_truth,
)
from pantile.predict.job import JobFolder
from tiny_runs import make_tiny_config


@pytest.fixture(scope="module")
def predictor(tiny_scenes) -> Predictor:
    return Predictor(PanopticTask(make_tiny_config(), tiny_scenes.taxonomy))


@pytest.fixture
def photos(tmp_path, tiny_scenes) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for k, name in enumerate("abc"):
        Image.fromarray(tiny_scenes.load_image(k)[:33, :33]).save(folder / f"{name}.png")
    return folder


def content(out: Path) -> dict:
    return json.loads((out / "annotations" / "panoptic_predictions.json").read_text())


def names(out: Path) -> list[str]:
    return [image["file_name"] for image in content(out)["images"]]


def pngs(out: Path) -> list[str]:
    folder = out / "annotations" / "panoptic_predictions"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def agree(out: Path) -> None:
    """The JSON and its PNGs say the same, and nothing else lies there."""
    own = content(out)
    assert pngs(out) == sorted(row["file_name"] for row in own["annotations"])
    for image, row in zip(own["images"], own["annotations"], strict=True):
        assert image["id"] == row["image_id"]
        ids = read_panoptic_png(out / "annotations" / "panoptic_predictions" / row["file_name"])
        assert set(np.unique(ids).tolist()) - {0} == {segment["id"] for segment in row["segments_info"]}


def count_calls(monkeypatch, module, name: str) -> list:
    calls, real = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *a, **k: calls.append(a) or real(*a, **k))
    return calls


# --- a folder that holds predictions ---------------------------------------------------------------------------------


def test_predictions_are_neither_replaced_nor_mixed_without_a_word(predictor, photos, tmp_path):
    out = tmp_path / "out"
    predict_files(predictor, find_images([photos]), out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"\(3 images\): --resume .* --overwrite"):
        predict_files(predictor, find_images([photos / "a.png"]), out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before

    (out / "overlays" / "my own.jpg").write_bytes(b"kept")
    made = predict_files(predictor, find_images([photos / "b.png"]), out, options=PredictOptions(existing="overwrite"))
    assert (names(out), pngs(out), made.images) == (["b.png"], ["b.png"], 1)
    assert sorted(path.name for path in (out / "overlays").iterdir()) == ["b.jpg", "my own.jpg"]
    agree(out)


def test_resume_goes_on_after_an_interruption(predictor, photos, tmp_path, monkeypatch):
    whole, out, options = tmp_path / "whole", tmp_path / "out", PredictOptions(existing="resume")
    predict_files(predictor, find_images([photos]), whole)
    real = image_stages.write_image

    def interrupted(stages, image, *rest):
        if image.name == "b.png":
            (out / "annotations" / "panoptic_predictions" / "b.png").write_bytes(b"half a PNG")
            raise KeyboardInterrupt
        return real(stages, image, *rest)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(image_stages, "write_image", interrupted)
        predict_files(predictor, find_images([photos]), out)
    assert not (out / "annotations" / "panoptic_predictions.json").exists()
    with JobFolder(out).log().open("a") as log:
        log.write('{"name": "b.png", "stam')  # as a kill may leave it
    calls = count_calls(monkeypatch, image_stages, "write_image")
    made = predict_files(predictor, find_images([photos]), out, options=options)
    assert [call[1].name for call in calls] == ["b.png", "c.png"] and made.kept == 1
    assert content(out) == content(whole)
    agree(out)
    assert predict_files(predictor, find_images([photos]), out, options=options).kept == 3


def test_resume_sees_changed_images_lost_files_and_new_images(predictor, photos, tmp_path, monkeypatch, tiny_scenes):
    out, options = tmp_path / "out", PredictOptions(existing="resume")
    predict_files(predictor, find_images([photos]), out)
    ids = {image["file_name"]: image["id"] for image in content(out)["images"]}
    Image.fromarray(tiny_scenes.load_image(4)[:40, :33]).save(photos / "a.png")
    (out / "overlays" / "b.jpg").unlink()
    Image.fromarray(tiny_scenes.load_image(5)[:33, :33]).save(photos / "aa.png")
    calls = count_calls(monkeypatch, image_stages, "write_image")
    predict_files(predictor, find_images([photos]), out, options=options)
    assert sorted(call[1].name for call in calls) == ["a.png", "aa.png", "b.png"]
    after = {image["file_name"]: image for image in content(out)["images"]}
    assert after["a.png"]["height"] == 40
    assert {name: image["id"] for name, image in after.items()} == ids | {"aa.png": 4}
    agree(out)


def test_resume_refuses_another_model_other_options_and_strangers(predictor, photos, tmp_path, tiny_scenes):
    from pantile.inference.views import Views

    out, options = tmp_path / "out", PredictOptions(existing="resume")
    images = find_images([photos / "a.png"])
    predict_files(predictor, images, out)
    other = Predictor(PanopticTask(make_tiny_config(), tiny_scenes.taxonomy))
    with pytest.raises(UserError, match="other weights"):
        predict_files(other, images, out, options=options)
    flipped = Predictor(predictor.task, views=Views(flip=True))
    with pytest.raises(UserError, match=r"views\.flip=False, not True"):
        predict_files(flipped, images, out, options=options)
    JobFolder(out).log().unlink()
    with pytest.raises(UserError, match="without their log"):
        predict_files(predictor, images, out, options=options)
    agree(out)


# --- images that cannot be used ---------------------------------------------------------------------------------------


def test_all_bad_images_are_named_before_anything_is_written(predictor, photos, tmp_path):
    (photos / "d.png").write_bytes(b"no image")
    (photos / "e.jpg").touch()
    (photos / "f.jpg").mkdir()
    os.mkfifo(photos / "g.png")
    out = tmp_path / "out"
    with pytest.raises(UserError, match="3 of 6 images cannot be used") as told:
        predict_files(predictor, find_images([photos]), out)
    assert all(part in str(told.value) for part in ("d.png", "e.jpg is empty", "g.png is a pipe", "--skip-bad"))
    assert not out.exists()
    made = predict_files(predictor, find_images([photos]), out, options=PredictOptions(skip_bad=True))
    assert [bad.name for bad in made.bad] == ["d.png", "e.jpg", "g.png"]
    assert names(out) == ["a.png", "b.png", "c.png"]
    with pytest.raises(UserError, match="is a pipe"):
        predict_files(
            predictor, find_images([photos / "g.png"]), tmp_path / "none", options=PredictOptions(skip_bad=True)
        )


def test_images_that_turn_out_bad_are_all_named_and_the_rest_is_kept(predictor, photos, tmp_path, monkeypatch):
    whole = (photos / "b.png").read_bytes()
    for name in ("b.png", "d.png"):
        (photos / name).write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "out"
    decoded = count_calls(monkeypatch, sys.modules["pantile.predict.sources"], "read_image")
    with pytest.raises(UserError, match="2 of 4 images cannot be used") as told:
        predict_files(predictor, find_images([photos]), out)
    assert "b.png does not decode" in str(told.value) and "d.png does not decode" in str(told.value)
    assert [call[0].name for call in decoded] == ["a.png", "b.png", "c.png", "d.png"]  # each once
    assert pngs(out) == ["a.png"] and not (out / "annotations" / "panoptic_predictions.json").exists()
    options = PredictOptions(existing="resume", skip_bad=True)
    made = predict_files(predictor, find_images([photos]), out, options=options)
    assert (len(made.bad), made.kept, names(out)) == (2, 1, ["a.png", "c.png"])
    agree(out)


def test_with_tiles_bad_images_are_told_as_well(predictor, photos, tmp_path):
    from pantile.inference.tiles import Tiling

    whole = (photos / "b.png").read_bytes()
    (photos / "b.png").write_bytes(whole[: len(whole) // 2])
    tiled = Predictor(predictor.task, tiling=Tiling(32))
    with pytest.raises(UserError, match=r"b\.png does not decode"):
        predict_files(tiled, find_images([photos]), tmp_path / "out")
    made = predict_files(
        tiled, find_images([photos]), tmp_path / "out", options=PredictOptions(existing="resume", skip_bad=True)
    )
    assert (len(made.bad), made.kept, names(tmp_path / "out")) == (1, 1, ["a.png", "c.png"])


# --- names ------------------------------------------------------------------------------------------------------------


def test_an_image_that_goes_while_it_is_predicted_is_left_out_like_a_bad_one(predictor, photos, tmp_path, monkeypatch):
    real, images, out = Predictor.infer, find_images([photos]), tmp_path / "out"
    calls = iter(range(9))

    def remove_the_second(self, *args: object, **options: object) -> object:
        if next(calls) == 1:
            (photos / "b.png").unlink()
        return real(self, *args, **options)

    monkeypatch.setattr(Predictor, "infer", remove_the_second)
    made = predict_files(predictor, images, out, options=PredictOptions(skip_bad=True))
    assert names(out) == ["a.png", "c.png"] and "does not exist" in made.bad[0].reason
    agree(out)


def test_an_image_that_changes_while_it_is_predicted_is_predicted_again(predictor, photos, tmp_path, monkeypatch):
    real, out = Predictor.infer, tmp_path / "out"

    def change_the_file(self, *args: object, **options: object) -> object:
        Image.new("RGB", (20, 20)).save(photos / "a.png")
        return real(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "infer", change_the_file)
        predict_files(predictor, find_images([photos / "a.png"]), out)
    assert content(out)["images"][0]["height"] == 33  # of the pixels that were read
    made = predict_files(predictor, find_images([photos / "a.png"]), out, options=PredictOptions(existing="resume"))
    assert made.kept == 0 and content(out)["images"][0]["height"] == 20


def test_subfolders_on_request_keep_their_names(predictor, photos, tmp_path):
    for folder in ("x", "y/z"):
        (photos / folder).mkdir(parents=True)
        (photos / folder / "a.png").write_bytes((photos / "b.png").read_bytes())
    (photos / ".hidden.png").touch()
    out = photos / "out"  # whose own files are no images of the job
    assert [image.name for image in find_images([photos])] == ["a.png", "b.png", "c.png"]
    for _ in range(2):
        images = find_images([photos], recursive=True, leave_out=JobFolder(out).written)
        predict_files(predictor, images, out, options=PredictOptions(existing="resume"))
    assert names(out) == ["a.png", "b.png", "c.png", "x/a.png", "y/z/a.png"]
    assert (out / "overlays" / "y" / "z" / "a.jpg").exists()
    agree(out)
    with pytest.raises(UserError, match="rename one"):
        find_images([photos / "a.png", photos / "x" / "a.png"])
    with pytest.raises(UserError, match="--recursive"):
        find_images([photos / "y"])


def ground_truth(path: Path, images: list[tuple], taxonomy: Taxonomy) -> Path:
    categories = [row | {"id": 100 + row["id"]} for row in reversed(taxonomy.to_coco())]
    rows = [{"id": own, "file_name": name} for own, name in images]
    path.write_text(json.dumps({"images": rows, "categories": categories}))
    return path


def test_ids_and_names_like_the_ground_truth(predictor, photos, tmp_path):
    images = [(77, "val/c.png"), ("b", "b.jpg"), (5, "a.png"), (6, "absent.png")]
    truth = read_ground_truth(ground_truth(tmp_path / "gt.json", images, predictor.taxonomy))
    (photos / "d.png").write_bytes((photos / "a.png").read_bytes())
    out = tmp_path / "out"
    with pytest.warns(UserWarning) as warnings:
        predict_files(predictor, find_images([photos]), out, options=PredictOptions(like=truth))
    told = " ".join(str(warning.message) for warning in warnings)
    assert "1 given images are not in" in told and "d.png" in told
    assert "1 images were not given of" in told and "absent.png" in told
    own = content(out)
    assert sorted((str(i["id"]), i["file_name"]) for i in own["images"]) == [
        ("5", "a.png"),
        ("77", "val/c.png"),
        ("b", "b.jpg"),
    ]
    name_of = {row["id"]: row["name"] for row in own["categories"]}
    assert own["categories"] == truth.taxonomy.to_coco()
    plain = tmp_path / "plain"
    predict_files(predictor, find_images([photos / "a.png"]), plain)
    by_id = {row["id"]: row["name"] for row in content(plain)["categories"]}
    liked = next(row for row in own["annotations"] if row["image_id"] == 5)["segments_info"]
    usual = content(plain)["annotations"][0]["segments_info"]
    assert [name_of[s["category_id"]] for s in liked] == [by_id[s["category_id"]] for s in usual]
    agree(out)


def test_ground_truths_that_do_not_fit_are_refused(predictor, photos, tmp_path):
    def options(images: list[tuple], change=lambda taxonomy: taxonomy) -> PredictOptions:
        path = ground_truth(tmp_path / "gt.json", images, change(predictor.taxonomy))
        return PredictOptions(like=read_ground_truth(path))

    found = find_images([photos])
    for given, sentence in (
        (options([(1, "z.png")]), "names none of the 3 images"),
        (options([(1, "x/a.png"), (2, "y/a.png")]), "give the folder"),
        (options([(1, "a.png")], lambda t: Taxonomy(t.classes[1:])), "lacks 1 of the model's"),
    ):
        with pytest.raises(UserError, match=sentence):
            predict_files(predictor, found, tmp_path / "out", options=given)
    with pytest.raises(UserError, match="leads out of its folder"):
        options([(1, "../a.png")])
    with pytest.raises(UserError, match="twice"):
        options([(1, "a.png"), (1, "b.png")])
    assert not (tmp_path / "out").exists()


def test_images_of_the_json_of_cityscapes_scripts_are_found_by_their_ids(photos, tmp_path, predictor):
    """Its names, aachen_0_gtFine_leftImg8bit.png, are no files; its ids, aachen_0, begin their names."""
    (photos / "aachen_0_leftImg8bit.png").write_bytes((photos / "a.png").read_bytes())
    path = ground_truth(tmp_path / "gt.json", [("aachen_0", "aachen_0_gtFine_leftImg8bit.png")], predictor.taxonomy)
    options = PredictOptions(like=read_ground_truth(path))
    out = tmp_path / "out"
    predict_files(predictor, find_images([photos / "aachen_0_leftImg8bit.png"]), out, options=options)
    assert [(i["id"], i["file_name"]) for i in content(out)["images"]] == [
        ("aachen_0", "aachen_0_gtFine_leftImg8bit.png")
    ]


def test_two_processes_write_one_job(predictor, photos, tmp_path, monkeypatch):
    """Both shares in turn, with what torch.distributed would have carried between them."""
    out = tmp_path / "out"
    carried: dict = {}

    def on_first(function, rank, world_size):
        if rank == 0:
            carried["plan"] = function()
        return carried["plan"]

    monkeypatch.setattr(files, "on_first", on_first)
    monkeypatch.setattr(files, "gathered", lambda own, world_size: [own])
    images = find_images([photos])
    predict_files(predictor, images, out, rank=0, world_size=2)
    predict_files(predictor, images, out, rank=1, world_size=2)
    assert names(out) == ["a.png", "c.png"] and pngs(out) == ["a.png", "b.png", "c.png"]
    monkeypatch.undo()
    made = predict_files(predictor, images, out, options=PredictOptions(existing="resume"))
    assert made.kept == 3  # the logs of both
    assert [path.name for path in JobFolder(out)._logs()] == ["panoptic_predictions.jsonl"]
    agree(out)
