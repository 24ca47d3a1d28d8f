"""Predictions as an annotation tool takes them."""

import pytest
from PIL import Image

from labels.tiny_labels import TAXONOMY, MapData, meaning, random_map, run
from pantile.contracts.errors import UserError
from pantile.data import CocoPanoptic, write_coco_panoptic
from pantile.labels.suggestions import check_target, write_suggestions


@pytest.fixture
def predicted(tmp_path):
    """Two predictions, and photos of other endings than their names have."""
    maps = [random_map(5), random_map(8)]
    write_coco_panoptic(MapData(maps), tmp_path / "out", "predictions")
    photos = {}
    for k in range(2):
        photos[f"image{k}.png"] = tmp_path / f"photo{k}.bmp"
        Image.open(tmp_path / "out" / "predictions" / f"image{k}.png").save(photos[f"image{k}.png"])
    return maps, tmp_path / "out" / "annotations" / "panoptic_predictions.json", photos


@pytest.mark.parametrize("target", ["label-studio", "cvat", "labelme"])
def test_suggestions_are_the_predictions(predicted, tmp_path, target):
    maps, path, photos = predicted
    report = write_suggestions(path, photos, tmp_path / "there", target)
    assert sum(n for n, _ in report.lost.values()) == sum(own.is_crowd for one in maps for own in one.segments)
    split = {"splits": ("predictions",)}
    run(tmp_path / "there", tmp_path / "back", target, classes=tmp_path / "there" / "classes.json", **split)
    data = CocoPanoptic(tmp_path / "back", "predictions")
    read = [meaning(data.load(k)[1], data.taxonomy) for k in range(2)]
    assert read == [{own for own in meaning(one, TAXONOMY) if not own[1]} for one in maps]
    assert all(data.image_path(k).suffix == ".bmp" for k in range(2))


def test_nothing_is_half_written_and_nobody_s_work_is_replaced(predicted, tmp_path):
    _, path, photos = predicted
    (path.with_suffix("") / "image1.png").write_bytes(b"cut short")
    with pytest.raises(UserError, match=r"image1\.png"):
        write_suggestions(path, photos, tmp_path / "there", "cvat")
    assert not (tmp_path / "there").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "corrected.json").write_text("{}")
    with pytest.raises(UserError, match="not an empty folder"):
        check_target("labelme", tmp_path / "mine")
    with pytest.raises(UserError, match="did you mean 'labelme'"):
        check_target("labelm", tmp_path / "new")
