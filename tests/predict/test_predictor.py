"""The Python way to a prediction: one object with everything in it."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

import pantile
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.data.files_below import images_by_stem
from pantile.data.image_files import read_image
from pantile.data.image_suffixes import IMAGE_SUFFIXES
from pantile.engine.task import PanopticTask
from pantile.predict import PanopticResult, Predictor, files, find_images, image_stages
from tiny_runs import make_tiny_config
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
    assert np.array_equal(image_stages.overlay(result), result.overlay())
    monkeypatch.setattr(image_stages, "OVERLAY_SIDE", 33)
    small = image_stages.overlay(result)
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
    images = find_images([tmp_path / "photos"])
    for orientation, size in (("upright", (65, 40)), ("stored", (40, 65))):
        out = tmp_path / orientation
        content = json.loads(
            files.predict_files(Predictor(task, orientation=orientation), images, out).json.read_text()
        )
        assert [(row["height"], row["width"]) for row in content["images"]] == [size] * 3
        for row in content["annotations"]:
            png = Image.open(out / "annotations" / "panoptic_predictions" / row["file_name"])
            assert png.size == size[::-1]
    with pytest.raises(pantile.UserError, match="orientation is 'sideways': write upright or stored"):
        Predictor(task, orientation="sideways")


@pytest.fixture(scope="module")
def predictor(tiny_scenes):
    return Predictor(PanopticTask(make_tiny_config(), tiny_scenes.taxonomy))


def encoded(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def test_everything_that_is_an_image_gives_the_same(predictor, tiny_scenes):
    pixels = tiny_scenes.load_image(0)[:40, :33]
    expected = predictor(pixels)
    tensor = torch.from_numpy(pixels)
    sources = [
        tensor.permute(2, 0, 1),  # (C, H, W), torch's own order
        tensor,  # (H, W, C), where no other axis has three entries
        np.ascontiguousarray(pixels.transpose(2, 0, 1)),
        np.asfortranarray(pixels),
        encoded(pixels),
        bytearray(encoded(pixels)),
    ]
    for source in sources:
        result = predictor(source)
        assert np.array_equal(result.image, pixels) and np.array_equal(result.map, expected.map)
        assert result.segments == expected.segments


def test_where_both_ends_have_three_entries_the_usual_order_counts(predictor):
    cube = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    assert np.array_equal(predictor(cube).image, cube)
    assert np.array_equal(predictor(torch.from_numpy(cube)).image, cube.transpose(1, 2, 0))


def test_batches_give_what_their_images_give(predictor, tiny_scenes):
    one, two = (tiny_scenes.load_image(k)[:40, :33] for k in range(2))
    expected = [predictor(one), predictor(two)]
    array, tensor = np.stack([one, two]), torch.from_numpy(np.stack([one, two]))
    for batch in (
        [one, encoded(two)],
        (one, two),
        array,
        array.transpose(0, 3, 1, 2),
        tensor,
        tensor.permute(0, 3, 1, 2),
    ):
        results = predictor(batch)
        assert [type(result) for result in results] == [PanopticResult] * 2
        assert all(np.array_equal(a.map, b.map) for a, b in zip(results, expected, strict=True))
    other_sizes = predictor([one, two[:33, :20]])
    assert [result.map.shape for result in other_sizes] == [(40, 33), (33, 20)]
    assert predictor([]) == [] and predictor(array[:0]) == []


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.zeros((8, 9, 3)), "float64 .* uint8 RGB, 0..255, for example .*do not normalise"),
        (torch.zeros(3, 8, 9), r"float32 .* give \(3, H, W\) uint8 RGB"),
        (torch.zeros(2, 3, 8, 9), "float32"),
        (torch.zeros(3, 8, 9, dtype=torch.int64), "int64"),
        (np.zeros((8, 9, 3), bool), "bool"),
        (np.zeros((8, 9), np.uint8), r"uint8 \(8, 9\): give \(H, W, 3\)"),
        (np.zeros((8, 9, 4), np.uint8), r"\(8, 9, 4\): give"),
        (np.zeros((0, 9, 3), np.uint8), r"\(0, 9, 3\): give"),
        (np.zeros((1, 2, 8, 9, 3), np.uint8), r"\(1, 2, 8, 9, 3\): give"),
        (b"no image", "8 bytes are no image file"),
        (encoded(np.zeros((50, 50, 3), np.uint8))[:60], "does not decode|no readable image"),
        (None, "of type NoneType: give a path"),
        (3, "of type int"),
        ({"image": 1}, "of type dict"),
        ([[1, 2]], "of type int"),
        ("absent.jpg", "absent.jpg does not exist"),
        (["absent.jpg"], "absent.jpg does not exist"),
    ],
)
def test_what_is_no_image_is_refused(predictor, image, sentence):
    with pytest.raises(pantile.UserError, match=sentence):
        predictor(image)


def made(tiny_scenes) -> PanopticResult:
    ids = np.zeros((6, 8), np.int32)
    ids[1:4, 2:7], ids[5, 0], ids[0, 7] = 9, 4, 4
    segments = (Segment(9, 0, score=0.5), Segment(4, 8))
    return PanopticResult(np.zeros((6, 8, 3), np.uint8), PanopticMap(ids, segments), tiny_scenes.taxonomy)


def test_masks_and_boxes_of_segments(tiny_scenes):
    result = made(tiny_scenes)
    assert result.masks.shape == (2, 6, 8) and result.masks.dtype == bool
    assert np.array_equal(result.masks[0], result.map == 9) and np.array_equal(result.masks[1], result.map == 4)
    assert result.boxes.tolist() == [[2, 1, 7, 4], [0, 0, 8, 6]] and result.boxes.dtype == np.int64
    for (left, top, right, bottom), row in zip(result.boxes.tolist(), result.to_coco(), strict=True):
        assert [left, top, right - left, bottom - top] == row["bbox"]
    empty = PanopticResult(result.image, PanopticMap(np.zeros((6, 8), np.int32), ()), tiny_scenes.taxonomy)
    assert empty.masks.shape == (0, 6, 8) and empty.boxes.shape == (0, 4)
    assert repr(empty) == "PanopticResult(6x8, 0 segments)"


def test_the_short_form_tells_size_and_classes(tiny_scenes, predictor):
    names = tiny_scenes.taxonomy.names
    assert repr(made(tiny_scenes)) == f"PanopticResult(6x8, 2 segments: {names[0]}, {names[8]})"
    image, truth = tiny_scenes.load(0)
    assert len(repr(PanopticResult(image, truth, tiny_scenes.taxonomy))) < 160
    assert repr(predictor).startswith("Predictor(kmax, ")


@pytest.mark.parametrize("ending", [".png", ".JPG", ".webp"])
def test_a_result_saves_its_picture(tiny_scenes, tmp_path, ending):
    result = made(tiny_scenes)
    path = result.save(tmp_path / "new" / f"x{ending}")
    with Image.open(path) as picture:
        assert picture.size == (result.overlay().shape[1], result.overlay().shape[0])


def test_a_result_saves_labels_that_can_be_scored(tiny_scenes, tmp_path):
    from pantile.score import open_predictions, open_truth

    result = made(tiny_scenes)
    path = result.save(str(tmp_path / "x.json"))
    for table in (open_truth(path, None, None, None), open_predictions(path, tiny_scenes.taxonomy, None, None)):
        assert np.array_equal(table.load(0).ids, result.map)
        assert [(s.id, s.class_index) for s in table.load(0).segments] == [(9, 0), (4, 8)]
    assert json.loads(path.read_text())["annotations"][0]["segments_info"][0]["score"] == 0.5
    with pytest.raises(pantile.UserError, match=r"x\.txt: end the name in"):
        result.save(tmp_path / "x.txt")


def test_a_folder_of_photos_holds_every_format_that_is_read(tmp_path):
    for number, suffix in enumerate(IMAGE_SUFFIXES):
        (tmp_path / f"{number}{suffix.upper() if number % 2 else suffix}").touch()
    (tmp_path / "notes.txt").touch()
    assert len(find_images([tmp_path])) == len(IMAGE_SUFFIXES)
    assert {".gif", ".jp2", ".ppm"} < set(IMAGE_SUFFIXES)


def test_a_gif_is_a_photo_and_an_animation_is_told(tmp_path):
    still, other = Image.new("P", (8, 6), 3), Image.new("P", (8, 6), 5)
    still.putpalette([k for k in range(256) for _ in range(3)])
    still.save(tmp_path / "still.gif")
    assert read_image(tmp_path / "still.gif").shape == (6, 8, 3)
    still.save(tmp_path / "moving.gif", save_all=True, append_images=[other])
    with pytest.raises(pantile.UserError, match=r"moving.gif holds 2 pages or frames"):
        read_image(tmp_path / "moving.gif")
    assert set(images_by_stem(tmp_path)) == {"still", "moving"}


def test_a_notebook_shows_the_overlay_of_a_size_that_fits(tiny_scenes):
    image = np.zeros((40, 2000, 3), np.uint8)
    result = PanopticResult(image, PanopticMap(np.zeros((40, 2000), np.int32), ()), tiny_scenes.taxonomy)
    with Image.open(io.BytesIO(result._repr_jpeg_())) as shown:
        assert shown.format == "JPEG" and shown.width == 1024
