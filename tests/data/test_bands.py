"""Images that are not RGB: dataset.yaml decides the model's bands, and loading and augmentation keep every band."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from described_folder import YAML, write_described
from PIL import Image

from pantile.contracts.errors import UserError
from pantile.data import CocoPanoptic, Scenes, first_images, open_dataset, write_coco_panoptic
from pantile.data.augment import AugmentConfig
from pantile.data.bands import check_bands, for_data
from pantile.data.color import POLICY, apply_operation, color_policy, ssd_jitter
from pantile.data.evaluation_samples import EvaluationSamples
from pantile.data.image_files import as_rgb, image_pixels, read_image
from pantile.data.training_samples import TrainingSamples
from pantile.labels.splitting.split import SplitOptions, split_folder
from pantile.recipes import make_recipe

MODES = {1: "L", 4: "RGBA"}
CLASSES, NUMBERS = np.full((20, 24), 2), np.zeros((20, 24))
CLASSES[4:9, 4:9], NUMBERS[4:9, 4:9] = 1, 1


def write_banded(root: Path, channels: int, extra: str = "", split: str = "train") -> np.ndarray:
    """One image of so many bands, whose pixels are returned."""
    write_described(root, split, {"a": (CLASSES, NUMBERS)}, f"{YAML}channels: {channels}\n{extra}")
    pixels = np.random.default_rng(channels).integers(0, 256, (20, 24, channels), dtype=np.uint8)
    Image.fromarray(pixels.squeeze(), MODES[channels]).save(root / "images" / split / "a.png")
    return pixels


@pytest.mark.parametrize("channels", MODES)
def test_every_band_arrives(tmp_path: Path, channels: int) -> None:
    pixels = write_banded(tmp_path, channels)
    dataset = open_dataset(tmp_path)
    assert np.array_equal(dataset.load(0)[0], pixels)
    sample = EvaluationSamples(dataset, (20, 24))[0]
    assert np.array_equal(sample.image.permute(1, 2, 0), pixels)
    plain = AugmentConfig(
        crop=(24, 30), scale_range=(1, 1), scale_relative_to="native", ssd_jitter=False, copy_paste=0, flip=0,
        pad_position="bottom_right",
    )  # fmt: skip
    image = TrainingSamples(dataset, plain)[0, 0].image
    assert np.array_equal(image[:, :20, :24].permute(1, 2, 0), pixels) and (image[:, 20:] == 127).all()


@pytest.mark.parametrize("channels", MODES)
def test_every_augmentation_keeps_the_number_of_bands(tmp_path: Path, channels: int) -> None:
    write_banded(tmp_path, channels)
    everything = AugmentConfig(crop=(16, 16), ssd_jitter=True, policy_magnitude=1.0, copy_paste=1.0)
    samples = TrainingSamples(open_dataset(tmp_path), everything)
    for draw in range(20):
        assert samples[0, draw].image.shape == (channels, 16, 16)


@pytest.mark.parametrize("recipe", ["kmax_nano", "mask2former_nano", "panoptic_deeplab_nano"])
def test_the_model_follows_the_file(tmp_path: Path, recipe: str) -> None:
    model = make_recipe(recipe).model
    grey, four, rgb = (tmp_path / name for name in ("grey", "four", "rgb"))
    write_banded(grey, 1, "mean: [99.5]\n")
    write_banded(four, 4)
    write_described(rgb, "train", {"a": (CLASSES, NUMBERS)}, f"{YAML}std: [1, 2, 3]\n")
    ours = for_data(model, first_images(open_dataset(grey), 1))
    assert (ours.in_channels, ours.image_mean, ours.image_std) == (1, (99.5,), (127.5,))
    assert for_data(model, open_dataset(four)).image_std == (127.5,) * 4
    assert for_data(model, open_dataset(rgb)) == replace(model, image_std=(1, 2, 3))  # the recipe's own mean
    assert for_data(model, Scenes(1)) is model


def test_disagreement_is_told(tmp_path: Path) -> None:
    write_banded(tmp_path / "grey", 1)
    write_coco_panoptic(Scenes(1, size=(33, 33)), tmp_path / "coco", "train")
    grey, coco = open_dataset(tmp_path / "grey"), CocoPanoptic(tmp_path / "coco", "train")
    model = make_recipe("kmax_nano").model
    ours = for_data(model, grey)
    check_bands(ours, grey)
    check_bands(model, coco)
    with pytest.raises(UserError, match=r"takes images of 3 channel\(s\).* 1 \(dataset.yaml says channels: 1\)"):
        check_bands(model, grey)
    with pytest.raises(UserError, match=r"takes images of 1 channel\(s\).* 3 \(RGB, as no dataset.yaml"):
        check_bands(ours, first_images(coco, 1))
    with pytest.raises(UserError, match=r"model.image_mean has 3 values, but model.in_channels is 1"):
        check_bands(replace(model, in_channels=1), grey)


def test_files_of_other_bands_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "rgb.png")
    Image.new("CMYK", (4, 4)).save(tmp_path / "four.tif")
    assert read_image(tmp_path / "four.tif", 4).shape == (4, 4, 4)
    with pytest.raises(UserError, match=r"rgb.png has colour mode 'RGB', but 1 channel\(s\) are wanted \(L\)"):
        read_image(tmp_path / "rgb.png", 1)
    with pytest.raises(UserError, match=r"The image has colour mode 'L', but 4"):
        image_pixels(Image.new("L", (4, 4)), 4)
    with pytest.raises(UserError, match=r"rgb.png holds 3 bands of 8 bits, but 5 band\(s\) are wanted"):
        read_image(tmp_path / "rgb.png", 5)


def test_what_is_shown() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 4), dtype=np.uint8)
    assert np.array_equal(as_rgb(pixels), pixels[..., :3])
    assert np.array_equal(as_rgb(pixels[..., :1]), pixels[..., [0, 0, 0]])
    assert np.array_equal(as_rgb(pixels[..., :2]), pixels[..., [0, 0, 0]])
    assert as_rgb(pixels[..., :3]).shape == (5, 6, 3)


def bands(count: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(7).integers(0, 200, (count, 40, 50), dtype=np.uint8))


@pytest.mark.parametrize("operation", sorted({name for pair in POLICY for name, _, _ in pair}))
def test_operations_act_on_each_band_as_on_grey(operation: str) -> None:
    four, magnitude = bands(4), 7
    changed = apply_operation(four, operation, magnitude)
    assert changed.shape == four.shape and changed.dtype == torch.uint8
    for band in range(4):
        alone = apply_operation(four[band : band + 1], operation, magnitude)
        assert torch.equal(alone[0], changed[band])
        of_rgb = apply_operation(four[[band] * 3], operation, magnitude)  # an RGB image that is grey
        assert (of_rgb[0].int() - alone[0].int()).abs().max() <= 1
    assert torch.equal(changed, four) == (operation == "saturation")


def test_jitter_of_grey_is_that_of_an_rgb_image_without_colour() -> None:
    grey, changes = bands(1), 0
    for seed in range(40):
        ours = ssd_jitter(grey, np.random.default_rng(seed))
        theirs = ssd_jitter(grey.repeat(3, 1, 1), np.random.default_rng(seed))
        assert (ours[0].int() - theirs[0].int()).abs().max() <= 4  # RGB goes through a colour cube of coarse cells
        changes += not torch.equal(ours, grey)
        assert ssd_jitter(bands(4), np.random.default_rng(seed)).shape == (4, 40, 50)
        assert color_policy(bands(4), np.random.default_rng(seed)).shape == (4, 40, 50)
    assert changes > 20


def test_a_split_keeps_what_is_said_of_the_bands(tmp_path: Path) -> None:
    pixels = write_banded(tmp_path / "in", 4, "bands: [4, 3, 2, 1]\nmean: [1, 2, 3, 4]\n")
    for name in "bc":
        for kind in ("images", "semantic", "instances"):
            folder = tmp_path / "in" / kind / "train"
            (folder / f"{name}.png").write_bytes((folder / "a.png").read_bytes())
    split_folder(open_dataset(tmp_path / "in"), tmp_path / "out", SplitOptions(val=0.4, content="none"))
    dataset = open_dataset(tmp_path / "out")
    assert isinstance(dataset, CocoPanoptic) and dataset.description.mean == (1, 2, 3, 4)
    assert np.array_equal(dataset.load(0)[0], pixels[..., ::-1])
