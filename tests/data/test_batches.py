"""Padding of samples and of batches: where it lies, what it looks like, and that nothing else depends on it."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data.augment_config import AugmentConfig, PairConfig
from pantile.data.loading import training_loader
from pantile.data.resize import PAD_VALUE
from pantile.data.training_samples import TrainingSamples, collate

CONFIG = AugmentConfig(
    crop=(96, 112), short_side=(24, 40, 56), max_side=100, ssd_jitter=False, copy_paste=0.0, redraws=0,
    pad_position="bottom_right",
)  # fmt: skip


class Mixed:
    """Six images of different sizes, each of one colour, whose left half is a thing and whose right half is void."""

    taxonomy = plain_taxonomy(["cat", "sky"], things=["cat"])
    sizes = ((40, 60), (60, 40), (50, 50), (30, 100), (100, 30), (64, 64))

    def __len__(self) -> int:
        return len(self.sizes)

    def name_of(self, index: int) -> str:
        return f"image {index}"

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        height, width = self.sizes[index]
        ids = np.zeros((height, width), np.int32)
        ids[:, : width // 2] = 7
        return np.full((height, width, 3), 10 * index, np.uint8), PanopticMap(ids, (Segment(7, 0),))


def batches(config: AugmentConfig, batch_size: int, count: int, **options) -> list:
    return list(islice(training_loader(Mixed(), config, batch_size, seed=3, **options), count))


@pytest.mark.parametrize("multiple", [1, 32])
def test_a_batch_is_as_large_as_its_largest_image(multiple: int) -> None:
    """And each image is what it is on a canvas of its own, at the top left."""
    alone = TrainingSamples(Mixed(), replace(CONFIG, pad="batch"), seed=3)
    sizes = set()
    for batch, (images, targets) in enumerate(batches(replace(CONFIG, pad="batch", pad_multiple=multiple), 3, 4)):
        indices = [int(name.removeprefix("image ")) for name in targets.names]
        samples = [alone[index, 3 * batch + i] for i, index in enumerate(indices)]
        heights, widths = zip(*(sample.image.shape[1:] for sample in samples), strict=True)
        wanted = tuple(-(-max(sides) // multiple) * multiple for sides in (heights, widths))
        sizes.add(wanted)
        assert images.shape == (3, 3, *wanted)
        assert targets.ids.shape == targets.padding.shape == (3, *wanted)
        for image, ids, padding, sample in zip(images, targets.ids, targets.padding, samples, strict=True):
            height, width = sample.image.shape[1:]
            assert torch.equal(image[:, :height, :width], sample.image)
            assert torch.equal(ids[:height, :width], sample.ids)
            assert not padding[:height, :width].any()
            assert padding.sum() == padding.numel() - height * width
            assert not ids[padding].any()
            assert (image[:, padding] == PAD_VALUE).all()
    assert len(sizes) > 1


def test_pixels_do_not_depend_on_the_padding() -> None:
    """The same draws on the crop and on the batch: the same images, labels and tables."""
    for (on_crop, crop), (on_batch, batch) in zip(
        batches(CONFIG, 2, 6), batches(replace(CONFIG, pad="batch", pad_multiple=1), 2, 6), strict=True
    ):
        height, width = on_batch.shape[2:]
        assert on_crop.shape[2:] == CONFIG.crop
        shown = torch.ones_like(batch.ids, dtype=torch.bool) if batch.padding is None else ~batch.padding
        assert torch.equal(~crop.padding[:, :height, :width], shown)
        assert (~crop.padding).sum() == shown.sum()
        assert torch.equal((on_crop[:, :, :height, :width] * shown[:, None]), on_batch * shown[:, None])
        assert torch.equal(crop.ids[:, :height, :width], batch.ids)
        assert torch.equal(crop.classes, batch.classes)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_restart_repeats_batches_of_changing_sizes(workers: int) -> None:
    config = replace(CONFIG, pad="batch")
    whole = batches(config, 2, 6)
    resumed = batches(config, 2, 3, start=6, workers=workers)
    for (images, targets), (images_again, targets_again) in zip(whole[3:], resumed, strict=True):
        assert torch.equal(images, images_again)
        assert torch.equal(targets.ids, targets_again.ids)
        assert torch.equal(targets.padding, targets_again.padding)


def test_device_batches_hold_the_same_samples_each_padded_to_its_own_largest() -> None:
    config = replace(CONFIG, pad="batch")
    for (images, targets), *parts in zip(
        batches(config, 4, 3), batches(config, 2, 6)[::2], batches(config, 2, 6)[1::2], strict=True
    ):
        names = [name for _, part in parts for name in part.names]
        assert names == list(targets.names)
        for start, (own, part) in zip((0, 2), parts, strict=True):
            height, width = own.shape[2:]
            assert height <= images.shape[2]
            assert width <= images.shape[3]
            assert torch.equal(own, images[start : start + 2, :, :height, :width])
            assert torch.equal(part.ids, targets.ids[start : start + 2, :height, :width])


def test_images_of_one_size_have_no_padding() -> None:
    sample = TrainingSamples(Mixed(), replace(CONFIG, pad="batch", short_side=(32,)), seed=3)[2, 0]
    images, targets = collate([sample, sample], multiple=32)
    assert images.shape == (2, 3, 32, 32)
    assert targets.padding is None
    moved = targets.to("cpu")
    assert moved.padding is None


@pytest.mark.parametrize("pad", ["crop", "batch"])
def test_pasted_pixels_are_no_padding(pad: str) -> None:
    """Padding is what neither image shows; void of the second one is never pasted."""
    position = "random" if pad == "crop" else "bottom_right"
    config = replace(CONFIG, pad=pad, copy_paste=1.0, pad_position=position)
    samples = TrainingSamples(Mixed(), config, seed=1)
    pasted_on_padding = 0
    for draw in range(30):
        sample = samples[draw % 6, draw]
        looks = (sample.image == PAD_VALUE).all(0)
        padding = torch.zeros_like(looks) if sample.padding is None else sample.padding
        assert torch.equal(padding, looks)
        own = (sample.image == 10 * (draw % 6)).all(0)
        pasted_on_padding += int((~own & ~padding).sum())
        if pad == "batch":
            assert sample.padding is None
    assert pasted_on_padding > 0


def test_a_value_pads_before_the_normalisation() -> None:
    """Mask2Former's crops: the network sees the grey."""
    sample = TrainingSamples(Mixed(), replace(CONFIG, pad_value=128), seed=1)[0, 0]
    assert sample.padding is None
    image, ids = sample.image, sample.ids
    assert image.shape == (3, *CONFIG.crop)
    assert set(image.unique().tolist()) == {0, 128}
    assert not ids[(image == 128).all(0)].any()


def test_pairs_are_padded_alike(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = replace(CONFIG, pad="batch", pairs=PairConfig((16,), min_short_side=24, max_long_side=100))
    images, targets = batches(config, 2, 1)[0]
    assert all(side % 32 == 0 for side in images.shape[2:])
    assert (targets.ids.flatten(1) > 0).any(1).all()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"pad": "batch", "pad_position": "random"}, "pad=batch"),
        ({"pad_multiple": 0}, "pad_multiple"),
        ({"pad_value": 256}, "pad_value"),
    ],
)
def test_senseless_settings_are_named(change: dict, field: str) -> None:
    with pytest.raises(UserError, match=f"augment.{field} "):
        replace(CONFIG, **change).check()
