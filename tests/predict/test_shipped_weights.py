"""``weights/facades_lite0.safetensors``: it is what its card and its recipe say, and predicts right after cloning."""

from pathlib import Path

import numpy as np
from PIL import Image

import pantile
from pantile.cli.main import main
from pantile.data import open_dataset
from pantile.engine.checkpoint import load_checkpoint
from pantile.recipes import make_recipe

FILE = Path(__file__).parents[2] / "weights" / "facades_lite0.safetensors"


def test_one_file_of_at_most_twelve_megabytes_with_a_card():
    assert FILE.stat().st_size <= 12_000_000
    card = FILE.with_suffix(".md").read_text()
    for needed in ("cc-by-4.0", "facades", "pantile train facades_lite0", "PQ, SQ, RQ of all"):
        assert needed in card, needed
    assert "/tmp" not in card and "/work" not in card


def test_its_settings_are_the_recipes():
    config, recipe = load_checkpoint(FILE).config, make_recipe("facades_lite0")
    assert config.merge == recipe.merge and config.evaluation_size == recipe.evaluation_size
    for field in ("output_stride", "semantic_width", "instance_decoder_width", "head_width", "aspp_rates"):
        assert getattr(config.model, field) == getattr(recipe.model, field), field


def test_it_predicts_a_photo(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (120, 90, 3), dtype=np.uint8)).save(tmp_path / "photo.jpg")
    assert main(["predict", str(FILE), str(tmp_path / "photo.jpg"), "--out", str(tmp_path / "out")]) == 0
    assert list((tmp_path / "out").rglob("*.json"))


def test_windows_are_found_on_photos_it_was_not_trained_on(real_data):
    predictor, photos = pantile.load(FILE), open_dataset(str(real_data / "facades"), "val")
    windows = sum(
        result.class_name(segment) == "window"
        for result in (predictor(photos.image_path(index)) for index in range(2))
        for segment in result.segments
    )
    assert windows > 10
