"""What the recipes' samples show, by drawing two thousand of them: whole images, crops on things, sizes."""

from dataclasses import replace

import numpy as np
import pytest

from in_memory_data import InMemory
from pantile.data.augment_config import AugmentConfig
from pantile.data.training_samples import TrainingSamples
from pantile.data.windows import draw_window, image_scale
from pantile.recipes import list_recipes, make_recipe

DRAWS = 2000
WHOLE_IMAGES = [
    name
    for name in list_recipes()
    if (name.startswith("panoptic_fcn") and (name.endswith("coco") or "_full_" in name))
    or (name.startswith("maskformer") and name.endswith("coco"))
]
SOURCES = [(1024, 2048), (480, 640), (640, 427), (200, 1500), (3000, 4000), (4000, 3000), (33, 40)]


def windows_of(augment: AugmentConfig, source: tuple[int, int], draws: int):
    rng = np.random.default_rng(3)
    for _ in range(draws):
        yield draw_window(source, augment.crop, image_scale(source, augment, rng), rng)


def test_which_recipes_train_on_whole_images() -> None:
    assert len(WHOLE_IMAGES) == 12 + 2 + 6


@pytest.mark.parametrize("name", WHOLE_IMAGES)
def test_whole_images_are_never_cropped(name: str) -> None:
    augment = make_recipe(name).augment
    for source in SOURCES:
        for window in windows_of(augment, source, DRAWS // len(SOURCES)):
            assert (window.top, window.left, window.height, window.width) == (0, 0, *source)
            assert window.out_height / source[0] == pytest.approx(window.out_width / source[1], abs=1 / min(source))


def test_whole_images_of_cityscapes_are_scaled_from_half_to_twice() -> None:
    augment = make_recipe("panoptic_fcn_r50_full_cityscapes").augment
    heights = np.array([window.out_height for window in windows_of(augment, (1024, 2048), DRAWS)])
    assert 512 <= heights.min() < 530 and 2030 < heights.max() <= 2048
    assert heights.mean() == pytest.approx(1280, abs=4 * 443 / DRAWS**0.5)  # uniform


@pytest.mark.parametrize(
    ("name", "short_sides", "longest"),
    [
        ("panoptic_fcn_r50_400_3x_coco", (352, 512), 854),
        ("panoptic_fcn_r50_400_3x_fast_coco", (352, 512), 854),
        ("panoptic_fcn_r50_512_3x_coco", (352, 512), 853),
        ("panoptic_fcn_r50_3x_coco", (640, 800), 1333),
        ("maskformer_swin_l_coco", (480, 800), 1000),
        ("maskformer_swin_s_coco", (480, 800), 1333),
    ],
)
def test_sides_of_coco_in_training(name, short_sides, longest) -> None:
    augment = make_recipe(name).augment
    square = [w.out_height for w in windows_of(augment, (500, 500), DRAWS)]
    assert (min(square), max(square)) == short_sides
    long = [w.out_width for w in windows_of(augment, (250, 1000), DRAWS // 4)]
    assert max(long) == longest


@pytest.mark.parametrize("name", ["panoptic_fcn_r50_400_3x_coco", "panoptic_fcn_r50_400_3x_fast_coco"])
def test_the_limit_at_test_is_another(name) -> None:
    size = make_recipe(name).evaluation_size
    assert (size.short_side, size.long_side) == (400, 666)


@pytest.mark.parametrize(
    "name",
    [f"panoptic_fcn_r50_{kind}{data}" for kind in ("", "ibs_", "ibs_random_") for data in ("cityscapes", "mapillary")],
)
def test_every_crop_recipe_of_panoptic_fcn_asks_for_a_thing(name) -> None:
    assert make_recipe(name).augment.crop_on_thing


@pytest.mark.parametrize("name", ["panoptic_fcn_r50_cityscapes", "panoptic_fcn_r50_ibs_random_mapillary"])
def test_crops_of_panoptic_fcn_show_a_thing(name) -> None:
    """The recipe on images of 96 pixels with one thing of four columns: a third of free crops would miss it."""
    augment = replace(make_recipe(name).augment, crop=(32, 32), scale_range=(1.0, 1.0), flip=0.0, redraws=0)
    if augment.short_side:
        augment.short_side = (96,)
    samples = TrainingSamples(OneThing(), augment)
    missed = dict.fromkeys((True, False), 0)
    for on in missed:
        samples.config = replace(augment, crop_on_thing=on)
        missed[on] = sum(not (samples[(0, draw)].classes == 0).any() for draw in range(200))
    assert missed[True] == 0 and missed[False] > 60


class OneThing(InMemory):
    def __init__(self) -> None:
        super().__init__([[(0, False), (1, False)]])

    def load_image(self, index: int) -> np.ndarray:
        return np.zeros((96, 96, 3), np.uint8)

    def load(self, index: int):
        image, panoptic = super().load(index)
        ids = np.full((96, 96), 2, np.int32)
        ids[:, 10:14] = 1
        return image, replace(panoptic, ids=ids)
