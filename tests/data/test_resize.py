"""Resizing against Pillow and torch, and the alignment of images and ids."""

import numpy as np
import pytest
import torch
from PIL import Image

from pantile.data.fit import fit_size
from pantile.data.resize import PAD_VALUE, fit_to, image_tensor, resize_ids, resize_image

SIZES = [((40, 60), (20, 30)), ((40, 60), (97, 33)), ((31, 17), (65, 129)), ((64, 64), (7, 9)), ((5, 5), (1, 1))]


@pytest.mark.parametrize(("full", "new"), SIZES)
def test_image_equals_pillow(full, new) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*full, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(image).resize(new[::-1], Image.Resampling.BILINEAR)).astype(int)
    result = resize_image(image_tensor(image), new).permute(1, 2, 0).numpy().astype(int)
    assert np.abs(result - expected).max() <= 1  # the two round their fixed-point weights differently


@pytest.mark.parametrize(("full", "new"), SIZES)
def test_ids_equal_nearest_exact(full, new) -> None:
    ids = np.random.default_rng(0).integers(0, 1000, full).astype(np.int16)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(ids).double()[None, None], size=new, mode="nearest-exact"
    )
    assert np.array_equal(resize_ids(ids, new), expected[0, 0].numpy())


def test_ids_and_image_share_pixel_centres() -> None:
    """A symmetric band stays symmetric and as wide as in the image; taking corners of pixels would shift the labels."""
    ids = np.zeros((40, 40), np.int16)
    ids[:, 10:30] = 1
    for new in ((13, 17), (90, 111)):
        small = resize_ids(ids, new)
        assert np.array_equal(small, small[::-1, ::-1])
        gray = resize_image(image_tensor(np.repeat(ids[..., None] * 255, 3, 2).astype(np.uint8)), new)[0].numpy()
        assert ((gray > 140) <= (small == 1)).all()
        assert ((gray < 115) <= (small == 0)).all()


@pytest.mark.parametrize(
    ("original", "size", "expected"),
    [
        ((480, 640), (641, 641), (481, 641)),
        ((640, 480), (641, 641), (641, 481)),
        ((1024, 2048), (1025, 2049), (1025, 2049)),  # 1024.5
        ((10, 1000), (65, 65), (1, 65)),
        ((1, 5000), (33, 33), (1, 33)),
        ((320, 640), (641, 641), (321, 641)),  # 320.5: halves are rounded up
        ((284, 568), (641, 641), (321, 641)),  # a quotient of two floats would fall short of it
        ((200, 160), (97, 1000), (97, 78)),  # 77.6
        ((160, 200), (1000, 101), (81, 101)),  # 80.8
        ((64, 128), (65, 129), (65, 129)),  # 64.5
    ],
)
def test_fit_size(original, size, expected) -> None:
    assert fit_size(original, size) == expected


def test_fit_to_pads_bottom_right() -> None:
    image = np.full((48, 64, 3), 200, np.uint8)
    tensor, placement = fit_to(image, (65, 65))
    assert tensor.shape == (3, 65, 65)
    assert tensor.dtype == torch.uint8
    assert (placement.padded, placement.content, placement.original) == ((65, 65), (49, 65), (48, 64))
    assert (tensor[:, :49] == 200).all()
    assert (tensor[:, 49:] == PAD_VALUE).all()


def test_fit_to_keeps_an_image_of_the_right_size() -> None:
    image = np.random.default_rng(0).integers(0, 256, (33, 65, 3), dtype=np.uint8)
    image.flags.writeable = False
    tensor, placement = fit_to(image, (33, 65))
    assert np.array_equal(tensor.permute(1, 2, 0).numpy(), image)
    assert placement.content == (33, 65)
