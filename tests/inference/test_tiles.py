"""Images predicted in tiles: with every kind of model, one tile is no tiling, and several make one image."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

import pantile
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement, padding_mask
from pantile.data import Scenes
from pantile.data.fit import FitConfig
from pantile.data.resize import fit_to, image_tensor
from pantile.engine.config import RunConfig
from pantile.engine.meters import ALL_TASKS
from pantile.engine.task import PanopticTask
from pantile.inference.images import predict_image
from pantile.inference.tiles import Tiling, plan_tiles
from pantile.inference.views import Views, forward_views
from pantile.merge import CenterMergeConfig, MaskMergeConfig, PanopticFCNMergeConfig, QueryMergeConfig, merge
from pantile.merge.registry import MERGERS
from pantile.recipes import make_recipe
from tiny_runs import NANO_RECIPES

SCENES = Scenes(2, size=(97, 129), seed=5)


def talkative(config: RunConfig) -> RunConfig:
    """Thresholds under which an untrained network says something."""
    merges = {
        MaskMergeConfig: {
            "pixel_confidence": 0.01,
            "thing_class_threshold": 0.0,
            "stuff_class_threshold": 0.0,
            "overlap": 0.0,
        },
        QueryMergeConfig: {"object_threshold": 0.0, "overlap_threshold": 0.0, "pixel_test": False},
        CenterMergeConfig: {"center_threshold": 0.0, "nms_kernel": 7},
        PanopticFCNMergeConfig: {"peak_threshold": 0.0, "region_threshold": 0.0, "object_threshold": 0.0},
    }
    config.merge = replace(config.merge, **merges.get(type(config.merge), {}))
    return config


class TalkativeTask(PanopticTask):
    """An untrained mask model says the same with all its queries: here each has a class and a place of its own."""

    def output_of(self, network_input, **options):
        output = super().output_of(network_input, **options)
        if not isinstance(output, MaskOutput):
            return output
        generator = torch.Generator().manual_seed(1)
        own_class = 3 * torch.randn(output.class_logits.shape[1:], generator=generator)
        own_height = torch.randn(output.mask_logits.shape[1], 1, 1, generator=generator)
        masks = output.mask_logits - output.mask_logits.mean(dim=(2, 3), keepdim=True)
        masks = 3 * masks / masks.std(dim=(2, 3), keepdim=True).clamp(min=1e-6) + own_height
        if isinstance(self.config.merge, PanopticFCNMergeConfig):  # its queries have their classes already
            return replace(output, mask_logits=masks)
        return replace(output, class_logits=output.class_logits + own_class, mask_logits=masks)


#: those that predict maps
MAPPED = [name for name in NANO_RECIPES if "panoptic" in MERGERS[make_recipe(name).merge.kind].tasks]


@pytest.fixture(scope="module", params=MAPPED)
def task(request) -> PanopticTask:
    torch.manual_seed(0)
    config = talkative(make_recipe(request.param))
    config.evaluation_size = (65, 65)
    return TalkativeTask(config, SCENES.taxonomy).eval()


def whole(task: PanopticTask, pixels: np.ndarray, views: Views):
    """As it is done without tiles, step by step."""
    tensor, placement = fit_to(pixels, task.config.evaluation_size)
    with torch.inference_mode():
        network_input = task.network_input(tensor[None], padding_mask([placement]))
        output = forward_views(task.output_of, network_input, views)
    return merge(output, task.taxonomy, task.config.merge, [placement], ALL_TASKS)[0]


def assert_same(one, other) -> None:
    assert np.array_equal(one.panoptic.ids, other.panoptic.ids)
    assert one.panoptic.segments == other.panoptic.segments
    assert one.instances == other.instances
    assert np.array_equal(one.semantic, other.semantic)


@pytest.mark.parametrize("views", [Views(), Views((0.75, 1.0), flip=True)], ids=["one view", "views"])
def test_one_tile_is_no_tiling_to_the_bit(task, views):
    pixels, _ = SCENES.load(0)
    expected = whole(task, pixels, views)
    assert len(expected.panoptic.segments) > 1
    image = image_tensor(pixels)
    for tiling in (None, Tiling(129), Tiling(4096, 100), Tiling(65, scale="fit"), Tiling(65, 0, scale=65 / 129)):
        assert_same(predict_image(task.network, image, views, tiling, ALL_TASKS), expected)


def test_an_image_of_the_input_size_is_one_tile_at_its_own_resolution(task):
    pixels = np.ascontiguousarray(SCENES.load(0)[0][:65, :65])
    for tiling in (Tiling(65), Tiling(65, scale=1), Tiling(100, scale=1)):
        assert_same(
            predict_image(task.network, image_tensor(pixels), Views(), tiling, ALL_TASKS), whole(task, pixels, Views())
        )


def test_several_tiles_make_one_image(task):
    pixels, _ = SCENES.load(1)
    seen = []

    def track(tiles):
        seen.extend(tiles)
        return tiles

    prediction = predict_image(task.network, image_tensor(pixels), Views(), Tiling(64, 16), ALL_TASKS, track)
    assert len(seen) == 6
    ids, segments = prediction.panoptic.ids, prediction.panoptic.segments
    assert ids.shape == prediction.semantic.shape == pixels.shape[:2]
    assert [s.id for s in segments] == list(range(1, len(segments) + 1))
    assert set(np.unique(ids).tolist()) - {0} == {s.id for s in segments}
    assert all(0 <= s.score <= 1 for s in segments)
    stuff = [s.class_index for s in segments if not task.taxonomy.classes[s.class_index].is_thing]
    assert len(stuff) == len(set(stuff))
    assert (prediction.instances is None) == ("instance" not in MERGERS[task.config.merge.kind].tasks)
    assert all(i.mask["size"] == list(ids.shape) for i in prediction.instances or ())
    may_be_void = isinstance(task.config.merge, PanopticFCNMergeConfig)  # the others name a class everywhere
    assert (prediction.semantic >= (-1 if may_be_void else 0)).all()


def test_where_one_tile_sees_alone_its_answer_stands(task):
    """The top left corner is seen by the first tile only: classes there are what it says by itself."""
    pixels, _ = SCENES.load(1)
    prediction = predict_image(task.network, image_tensor(pixels), Views(), Tiling(64, 16), ALL_TASKS)
    plan = plan_tiles(pixels.shape[:2], Tiling(64, 16), task.config.evaluation_size)
    tile = np.ascontiguousarray(pixels[:64, :64])
    tensor = torch.nn.functional.pad(image_tensor(tile), (0, 1, 0, 1), value=127)
    assert plan.placement == Placement((65, 65), (64, 64), (64, 64))
    with torch.inference_mode():
        alone = task(tensor[None], padding_mask([plan.placement]))
        alone = merge(alone, task.taxonomy, task.config.merge, [plan.placement], ALL_TASKS)[0]
    bottom, right = plan.layout.rows[1][0], plan.layout.columns[1][0]
    assert np.array_equal(prediction.semantic[:bottom, :right], alone.semantic[:bottom, :right])


# the plan


def test_a_large_image_is_cut_at_its_own_resolution_whatever_the_evaluation_size():
    for evaluation_size in ((513, 513), FitConfig(short_side=800, long_side=1333, remainder=1)):
        plan = plan_tiles((8192, 8192), Tiling(1024, 128), evaluation_size)
        assert plan.placement == Placement((1025, 1025), (1024, 1024), (1024, 1024))
        assert len(plan.layout.windows) == 81
    assert plan_tiles((8192, 8192), Tiling(1024), (512, 512)).placement.padded == (1024, 1024)
    assert plan_tiles((8192, 8192), Tiling(1000), FitConfig(long_side=9, multiple=1)).placement.padded == (1000, 1000)


def test_tile_scale_counts_tiles_and_overlap_in_pixels_of_the_input():
    plan = plan_tiles((2000, 3000), Tiling(500, 50, scale=0.5), (513, 513))
    assert plan.placement == Placement((513, 513), (500, 500), (1000, 1000))
    assert all(one[1] - other[0] >= 100 for one, other in itertools.pairwise(plan.layout.columns))
    assert plan_tiles((300, 200), Tiling(500, scale=2), (513, 513)).placement == Placement(
        (513, 417), (500, 400), (250, 200)
    )


def test_halves_of_scaled_tiles_are_rounded_up():
    plan = plan_tiles((25, 75), Tiling(32, overlap=0, scale=0.5), (64, 64))
    assert plan.placement.original[0] == 25
    assert plan.placement.content[0] == 13  # 12.5


def test_fit_cuts_the_image_at_the_size_of_its_evaluation():
    cityscapes = FitConfig(short_side=1024, long_side=2048)
    plan = plan_tiles((2048, 4096), Tiling(1024, 128, "fit"), cityscapes)
    assert plan.layout.rows == ((0, 2048),) and len(plan.layout.columns) == 3
    assert plan.placement == Placement((1024, 1024), (1024, 1024), (2048, 2048))


def test_an_image_smaller_than_a_tile_is_not_padded_to_it():
    plan = plan_tiles((100, 700), Tiling(512, 64), (513, 513))
    assert plan.layout.rows == ((0, 100),) and len(plan.layout.columns) == 2
    assert plan.placement == Placement((129, 513), (100, 512), (100, 512))
    small = plan_tiles((100, 70), Tiling(512, scale=1), (513, 513))
    assert small.placement == Placement((129, 97), (100, 70), (100, 70)) and len(small.layout.windows) == 1
    # without a scale it is predicted as ever
    assert plan_tiles((100, 70), Tiling(512), (513, 513)) == plan_tiles((100, 70), None, (513, 513))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((31,), "--tile 31"),
        ((-5,), "--tile -5"),
        ((64, 64), "--overlap 64"),
        ((64, 100), "--overlap 100"),
        ((64, -1), "--overlap -1"),
        ((64, 8, 0.0), "--tile-scale 0"),
        ((64, 8, float("nan")), "--tile-scale nan"),
        ((64, 8, float("inf")), "--tile-scale inf"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_in_one_sentence(arguments, sentence):
    with pytest.raises(pantile.UserError, match=sentence) as error:
        Tiling(*arguments)
    assert "\n" not in str(error.value)
