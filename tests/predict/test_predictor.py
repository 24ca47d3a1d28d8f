"""The Python way to a prediction: one object with everything in it."""

import numpy as np
import pytest
from PIL import Image

import pantile
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.data import description
from pantile.data.image_files import read_image
from pantile.data.image_suffixes import IMAGE_SUFFIXES
from pantile.engine.task import PanopticTask
from pantile.labels.image_folders import images_by_stem
from pantile.predict import PanopticResult, Predictor, files


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


def test_a_folder_of_photos_holds_every_format_that_is_read(tmp_path):
    for number, suffix in enumerate(IMAGE_SUFFIXES):
        (tmp_path / f"{number}{suffix.upper() if number % 2 else suffix}").touch()
    (tmp_path / "notes.txt").touch()
    assert len(files.find_images([tmp_path])) == len(IMAGE_SUFFIXES)
    assert {".gif", ".jp2", ".ppm"} < set(IMAGE_SUFFIXES)


def test_a_gif_is_a_photo_and_an_animation_is_told(tmp_path):
    still, other = Image.new("P", (8, 6), 3), Image.new("P", (8, 6), 5)
    still.putpalette([k for k in range(256) for _ in range(3)])
    still.save(tmp_path / "still.gif")
    assert read_image(tmp_path / "still.gif").shape == (6, 8, 3)
    still.save(tmp_path / "moving.gif", save_all=True, append_images=[other])
    with pytest.raises(pantile.UserError, match=r"moving.gif holds 2 pages or frames"):
        read_image(tmp_path / "moving.gif")
    (found,) = description._images_by_stem(tmp_path).keys() - {"moving"}
    assert found == "still" and "still" in images_by_stem(tmp_path)
