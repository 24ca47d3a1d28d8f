"""The recipes of Intra-Batch Supervision against the numbers of the paper and of the published code."""

import pytest

from pantile.recipes import make_recipe


@pytest.mark.parametrize(
    ("name", "weight", "partner", "short_sides"),
    [
        ("mask2former_r50_ibs_cityscapes", 50.0, "pairs", (512, 3096)),
        ("mask2former_r50_ibs_mapillary", 100.0, "pairs", (1024, 6192)),
        ("mask2former_r50_ibs_mapillary_instance", 100.0, "pairs", (1024, 6192)),
        ("panoptic_fcn_r50_ibs_cityscapes", 4.0, "pairs", (512, 3096)),
        ("panoptic_fcn_r50_ibs_mapillary", 15.0, "pairs", (1024, 6192)),
        ("panoptic_fcn_r50_ibs_random_mapillary", 15.0, "random", None),
    ],
)
def test_loss_and_sampling(name, weight, partner, short_sides):
    config = make_recipe(name)
    assert (config.techniques.intra_batch.weight, config.techniques.intra_batch.partner) == (weight, partner)
    pairs = config.augment.pairs
    assert (pairs and pairs.short_sides(config.augment.crop)) == short_sides
    assert config.augment.copy_paste == 0.0
    assert config.techniques.intra_batch.points == (0 if "fcn" in name else 12544)


@pytest.mark.parametrize(
    ("name", "rate", "steps", "batch"),
    [
        ("panoptic_fcn_r50_1x_coco", 0.01, 90_000, 16),
        ("panoptic_fcn_r50_3x_coco", 0.01, 270_000, 16),
        ("panoptic_fcn_r50_cityscapes", 0.02, 65_000, 32),
        ("panoptic_fcn_r50_full_cityscapes", 0.005, 100_000, 4),
        ("panoptic_fcn_r50_mapillary", 0.02, 150_000, 32),
        ("panoptic_fcn_r50_full_mapillary", 0.005, 150_000, 8),
    ],
)
def test_schedules_of_panoptic_fcn(name, rate, steps, batch):
    config = make_recipe(name)
    assert (config.optimizer.kind, config.optimizer.learning_rate) == ("sgd", rate)
    assert (config.training.steps, config.training.effective_batch) == (steps, batch)
    assert (config.optimizer.clip_by, config.optimizer.gradient_clip) == ("value", 35.0 if "coco" in name else 5.0)
    assert config.optimizer.warmup * steps == pytest.approx(2000 if "mapillary" in name else 1000)


def test_fast_variants_differ_in_the_merge_only():
    plain, fast = (make_recipe(f"panoptic_fcn_r50_512_3x{suffix}_coco") for suffix in ("", "_fast"))
    assert (plain.merge.peak_threshold, fast.merge.peak_threshold) == (0.05, 0.2)
    assert (plain.model, plain.augment, plain.criterion) == (fast.model, fast.augment, fast.criterion)


def test_two_recipes_never_share_their_pairs():
    """An override of one run must not reach another."""
    first, second = (make_recipe("mask2former_r50_ibs_cityscapes") for _ in range(2))
    assert first.augment.pairs == second.augment.pairs and first.augment.pairs is not second.augment.pairs
