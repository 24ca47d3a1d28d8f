"""The Python way to a prediction: one object with everything in it."""

import json

import numpy as np
import pytest
from PIL import Image

import pantile
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.engine.task import PanopticTask
from pantile.predict import PanopticResult, Predictor, files
from turned_photos import SHOWN, save_turned


def test_predictor_takes_files_images_and_arrays(tiny_config, tiny_scenes, tmp_path):
    predictor = Predictor(PanopticTask(tiny_config, tiny_scenes.taxonomy))
    pixels, _ = tiny_scenes.load(0)
    Image.fromarray(pixels).save(tmp_path / "scene.png")
    results = [predictor(source) for source in (pixels, Image.fromarray(pixels), tmp_path / "scene.png")]
    for result in results:
        assert result.map.shape == pixels.shape[:2]
        assert np.array_equal(result.map, results[0].map)
        assert set(np.unique(result.map)) - {0} == {segment.id for segment in result.segments}
    with pytest.raises(pantile.UserError, match="give \\(H, W, 3\\) uint8 RGB"):
        predictor(pixels.astype(np.float32))


def test_result_gives_semantic_map_names_and_coco_rows(tiny_scenes):
    image, truth = tiny_scenes.load(1)
    result = PanopticResult(image, truth, tiny_scenes.taxonomy)
    semantic = result.semantic(void=255)
    for segment in truth.segments:
        assert (semantic[truth.ids == segment.id] == segment.class_index).all()
        assert result.class_name(segment) == tiny_scenes.taxonomy.names[segment.class_index]
    assert (semantic[truth.ids == 0] == 255).all()
    for row, segment in zip(result.to_coco(), truth.segments, strict=True):
        assert row["area"] == (truth.ids == segment.id).sum()
        assert row["score"] == 1.0
    assert result.overlay().shape[1] == image.shape[1]


def test_result_without_segments(tiny_scenes):
    image = np.zeros((9, 9, 3), np.uint8)
    result = PanopticResult(image, PanopticMap(np.zeros((9, 9), np.int32), ()), tiny_scenes.taxonomy)
    assert (result.semantic() == 255).all()
    assert result.to_coco() == []


def test_the_public_names_exist():
    for name in pantile.__all__:
        assert getattr(pantile, name) is not None
    assert Segment is pantile.Segment
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pantile.nothing


def test_overlays_of_huge_images_are_drawn_smaller(tiny_scenes, monkeypatch):
    image, truth = tiny_scenes.load(1)
    result = PanopticResult(image, truth, tiny_scenes.taxonomy)
    assert np.array_equal(files._overlay(result), result.overlay())
    monkeypatch.setattr(files, "OVERLAY_SIDE", 33)
    small = files._overlay(result)
    assert small.shape[1] == 33 and small.shape[0] < result.overlay().shape[0]


@pytest.mark.parametrize("tag", range(1, 9))
def test_predictor_turns_photos_upright(tag, tiny_config, tiny_scenes, tmp_path):
    task = PanopticTask(tiny_config, tiny_scenes.taxonomy)
    stored = np.ascontiguousarray(tiny_scenes.load(0)[0][:40])
    path = save_turned(stored, tmp_path / "a.png", tag)
    upright = np.ascontiguousarray(SHOWN[tag](stored))
    expected = Predictor(task)(upright)
    for source in (path, Image.open(path), Image.open(path).convert("RGB")):
        result = Predictor(task)(source)
        assert np.array_equal(result.image, upright)
        assert np.array_equal(result.map, expected.map)
    assert np.array_equal(Predictor(task, orientation="stored")(path).image, stored)
    assert np.array_equal(Predictor(task, orientation="stored")(Image.open(path)).image, stored)


def test_predicted_files_have_the_upright_size(tiny_config, tiny_scenes, tmp_path):
    task = PanopticTask(tiny_config, tiny_scenes.taxonomy)
    stored = np.ascontiguousarray(tiny_scenes.load(0)[0][:40])
    for name, tag in (("a.jpg", 6), ("b.tif", 8), ("c.webp", 5)):
        save_turned(stored, tmp_path / "photos" / name, tag)
    images = files.find_images([tmp_path / "photos"])
    for orientation, size in (("upright", (65, 40)), ("stored", (40, 65))):
        out = tmp_path / orientation
        content = json.loads(files.predict_files(Predictor(task, orientation=orientation), images, out).read_text())
        assert [(row["height"], row["width"]) for row in content["images"]] == [size] * 3
        for row in content["annotations"]:
            png = Image.open(out / "annotations" / "panoptic_predictions" / row["file_name"])
            assert png.size == size[::-1]
    with pytest.raises(pantile.UserError, match="orientation is 'sideways': write upright or stored"):
        Predictor(task, orientation="sideways")
