"""The loss of an image alone and in a batch that is padded to its largest image: MaskFormer and Panoptic FCN.

What the originals do: padding is network input (0), negative in every mask and position map, and counts in means over
pixels. So an image that decides its batch's size has its own loss, whoever is beside it; a smaller image has the loss
that it has alone on an input of the batch's size. A dice term takes no notice of padding in which nothing is predicted.
"""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pantile.contracts.outputs import MaskOutput, PositionMaps
from pantile.contracts.targets import PanopticTargets
from pantile.data import AugmentConfig, Scenes, TrainingSamples, collate
from pantile.data.training_samples import TrainingSample
from pantile.engine.task import PanopticTask
from pantile.losses import PanopticFCNCriterionConfig
from pantile.losses.panoptic_fcn import PanopticFCNCriterion
from pantile.losses.set_criterion import SetCriterion, maskformer_criterion
from tiny_runs import make_recipe

FAMILIES = ["maskformer_nano", "panoptic_fcn_nano"]
SCENES = Scenes(4, size=(96, 128))
AUGMENT = AugmentConfig(
    crop=(128, 128), short_side=(64,), pad="batch", pad_position="bottom_right", ssd_jitter=False, copy_paste=0.0,
    redraws=0,
)  # fmt: skip


def sample(index: int, short_side: int) -> TrainingSample:
    return TrainingSamples(SCENES, replace(AUGMENT, short_side=(short_side,)), seed=1)[index, 0]


def make_task(recipe: str) -> PanopticTask:
    """In training, in float64, without what is random or looks at the whole batch."""
    torch.manual_seed(0)
    task = PanopticTask(make_recipe(recipe), SCENES.taxonomy).double().train()
    for module in task.modules():
        if isinstance(module, nn.BatchNorm2d | nn.Dropout):
            module.eval()
    task.network_input = lambda images, padding: _double_input(task, images, padding)
    return task


def _double_input(task: PanopticTask, images: Tensor, padding: Tensor | None) -> Tensor:
    return PanopticTask.network_input(task, images, padding).double()


def losses(task: PanopticTask, *samples: TrainingSample, like: int | None = None) -> dict[str, float]:
    """Of a batch, or of the image ``like`` of it, alone on an input of the batch's size."""
    images, targets = collate(samples, multiple=32)
    if like is not None:
        images, targets = images[like : like + 1], _only(targets, like)
    with torch.no_grad():
        return {name: value.item() for name, value in task.losses(images, targets)[0].items()}


def _only(targets: PanopticTargets, image: int) -> PanopticTargets:
    own = slice(image, image + 1)
    padding = None if targets.padding is None else targets.padding[own]
    return PanopticTargets(
        targets.ids[own], targets.classes[own], targets.crowd[own], targets.names[own], padding=padding
    )


@pytest.mark.parametrize("recipe", FAMILIES)
def test_the_largest_image_has_its_loss_whoever_is_beside_it(recipe: str) -> None:
    task, large, small = make_task(recipe), sample(0, 96), sample(1, 40)
    alone, on_batch = losses(task, large), losses(task, large, small, like=0)
    assert alone == pytest.approx(on_batch, rel=1e-12)
    assert losses(task, large, large) == pytest.approx(alone, rel=1e-9)  # the rest of a batch is a mean


@pytest.mark.parametrize("recipe", FAMILIES)
def test_a_batch_is_the_mean_of_its_images(recipe: str) -> None:
    """Twice the small image beside the large one twice, in any order."""
    task, large, small = make_task(recipe), sample(0, 96), sample(1, 40)
    assert losses(task, small, large) == pytest.approx(losses(task, large, small), rel=1e-9)
    parts = [losses(task, large, small, like=i) for i in (0, 1)]
    for name, value in losses(task, large, small).items():
        low, high = sorted(part[name] for part in parts)
        assert low - 1e-9 <= value <= high + 1e-9, name


@pytest.mark.parametrize("recipe", FAMILIES)
def test_what_padding_looks_like_changes_nothing(recipe: str) -> None:
    task, large, small = make_task(recipe), sample(0, 96), sample(1, 40)
    images, targets = collate((large, small), multiple=32)
    repainted = torch.where(targets.padding[:, None], torch.randint_like(images, 256), images)
    assert not torch.equal(images, repainted)
    with torch.no_grad():
        one, other = (task.losses(i, targets)[0] for i in (images, repainted))
    assert {k: v.item() for k, v in one.items()} == {k: v.item() for k, v in other.items()}


NOTHING = -40.0  # logit of padding in which nothing is predicted


def targets_of(size: tuple[int, int]) -> PanopticTargets:
    """An image of 32 x 64 at the top left of ``size``: two things on a row of stuff."""
    ids = torch.zeros(1, *size, dtype=torch.int16)
    ids[0, :32, :64] = 3
    ids[0, 4:20, 4:28] = 1
    ids[0, 10:30, 36:60] = 2
    return PanopticTargets(ids, torch.tensor([[0, 0, 1]]), torch.zeros(1, 3, dtype=torch.bool), ("one",))


def on_canvas(maps: Tensor, size: tuple[int, int], value: float = NOTHING) -> Tensor:
    return F.pad(maps, (0, size[1] - maps.shape[3], 0, size[0] - maps.shape[2]), value=value)


def test_maskformer_terms_beside_a_larger_image() -> None:
    """Class and dice terms are those of the image alone; the focal term is a mean over all pixels, padding too."""
    torch.manual_seed(0)
    truth = targets_of((32, 64)).ids[:, 2::4, 2::4]
    logits = torch.stack([6.0 * (truth == row) - 3 for row in (1, 2, 3, 9, 9)], dim=1).double()
    logits += torch.randn_like(logits)  # clear enough for one matching at any size of the canvas
    logits[:, :, -1], logits[:, :, :, -1] = NOTHING, NOTHING  # nothing reaches over the border by the resize
    unused = torch.zeros(1, 1, 1, 1)
    classes = torch.randn(1, 5, 3, dtype=torch.float64)
    criterion = SetCriterion(maskformer_criterion())

    def terms(height: int, width: int) -> dict[str, float]:
        masks = on_canvas(logits, (height // 4, width // 4))
        output = MaskOutput(classes, masks, unused[0], unused, unused)
        return {k: v.item() for k, v in criterion(output, targets_of((height, width))).losses.items()}

    alone, beside = terms(32, 64), terms(64, 96)
    assert beside["class"] == pytest.approx(alone["class"], rel=1e-12)
    assert beside["dice"] == pytest.approx(alone["dice"], rel=1e-9)
    assert beside["mask"] == pytest.approx(alone["mask"] * (32 * 64) / (64 * 96), rel=1e-9)


def test_panoptic_fcn_terms_beside_a_larger_image() -> None:
    """Terms of things are those of the image alone; stuff is a mean over all positions, padding too."""
    torch.manual_seed(0)
    config = PanopticFCNCriterionConfig(level_ranges=((1, 4096),), kernels_per_object=3)
    criterion = PanopticFCNCriterion(config, torch.tensor([True, False]))
    embed, things, stuff = torch.rand(1, 4, 8, 16), torch.randn(1, 1, 4, 8), torch.randn(1, 2, 4, 8)
    thing_kernels, stuff_kernels = torch.rand(1, 4, 4, 8), torch.rand(1, 4, 4, 8)

    def terms(height: int, width: int) -> dict[str, float]:
        fine, level = (height // 4, width // 4), (height // 8, width // 8)
        maps = PositionMaps(
            thing_logits=(on_canvas(things, level),),
            stuff_logits=(on_canvas(stuff, level),),
            thing_kernels=(on_canvas(thing_kernels, level, 0.0),),
            stuff_kernels=(on_canvas(stuff_kernels, level, 0.0),),
            stuff_bias=torch.zeros(4),
        )
        # all kernels are positive, so such an embedding gives no mask in the padding
        output = MaskOutput(None, None, None, on_canvas(embed, fine, -1e4), None, positions=maps)
        return {k: v.item() for k, v in criterion(output, targets_of((height, width))).losses.items()}

    alone, beside = terms(32, 64), terms(64, 96)
    assert beside["position_things"] == pytest.approx(alone["position_things"], rel=1e-5)
    assert beside["mask_things"] == pytest.approx(alone["mask_things"], rel=1e-5)
    assert beside["position_stuff"] == pytest.approx(alone["position_stuff"] * (32 * 64) / (64 * 96), rel=1e-5)
