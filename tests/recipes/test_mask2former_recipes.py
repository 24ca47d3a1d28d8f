"""The rows of Mask2Former's and MaskFormer's tables, with the settings of the released configurations."""

import pytest
import torch

from pantile.data import FitConfig
from pantile.engine.config import from_dict, to_dict
from pantile.engine.loaders import training_loader
from pantile.engine.optimizer import make_optimizer
from pantile.engine.task import PanopticTask
from pantile.models import create_model
from pantile.recipes import list_recipes, make_recipe
from pantile.recipes.matching import DATASETS, matching_recipe
from tiny_runs import make_tiny_config

# short side, cap and sizes in pixels, straight from the table: name -> (steps, crop, first and last short side,
# longest side in training, test short side, test longest side)
SHORT_SIDES = {
    "mask2former_r50_ade20k": (160_000, (640, 640), 320, 1280, 2560, 640, 2560),
    "mask2former_r50_ade20k_instance": (160_000, (640, 640), 320, 1280, 2560, 640, 2560),
    "mask2former_r50_ade20k_semantic": (160_000, (512, 512), 256, 1024, 2048, 512, 2048),
    "mask2former_swin_b_ade20k_semantic": (160_000, (640, 640), 320, 1280, 2560, 640, 2560),
    "mask2former_r50_cityscapes": (90_000, (512, 1024), 512, 2048, 4096, 1024, 2048),
    "mask2former_swin_l_cityscapes_semantic": (90_000, (512, 1024), 512, 2048, 4096, 1024, 2048),
    "mask2former_r50_mapillary": (300_000, (1024, 1024), 1024, 4096, 8192, 2048, 2048),
    "maskformer_r50_ade20k": (720_000, (640, 640), 320, 1280, 2560, 640, 2560),
    "maskformer_swin_t_ade20k_semantic": (160_000, (512, 512), 256, 1024, 2048, 512, 2048),
    "maskformer_r101c_cityscapes_semantic": (90_000, (512, 1024), 512, 2048, 4096, 1024, 2048),
    "maskformer_r50_mapillary_semantic": (300_000, (1280, 1280), 1024, 4096, 8192, 2048, 2048),
}
# parameters, measured on the original code: name -> (classes, count)
PARAMETERS = {
    "mask2former_r50_coco": (133, 43_983_878),
    "mask2former_swin_t_coco": (133, 47_435_264),
    "mask2former_r101_ade20k_semantic": (150, 63_033_495),
    "mask2former_swin_l_ade20k": (150, 215_539_979),
    "mask2former_r50_cityscapes": (19, 44_007_700),
    "maskformer_r50_ade20k": (150, 45_016_407),
    "maskformer_r101c_ade20k_semantic": (150, 60_318_039),
}
OURS = [name for name in list_recipes() if "former" in name]
VIDEO = ("_youtube_vis_", "_vspw", "_video_")


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_rows_have_their_published_size(name):
    config = make_recipe(name)
    config.model.pretrained = False
    classes, expected = PARAMETERS[name]
    with torch.device("meta"):
        model = create_model(config.model, classes)
    assert sum(p.numel() for p in model.parameters()) == expected


def test_the_tables_are_complete():
    rows = {"coco": 7, "coco_instance": 7, "ade20k": 2, "ade20k_instance": 2, "ade20k_semantic": 7, "cityscapes": 6}
    rows |= {"cityscapes_instance": 6, "cityscapes_semantic": 6, "mapillary": 2, "mapillary_semantic": 2, "nano": 1}
    others = ("_ibs_", "_crop_", "_rankseg", *VIDEO)
    found = [name for name in OURS if name.startswith("mask2former") and not any(part in name for part in others)]
    assert {k: sum(name.endswith(f"_{k}") for name in found) for k in rows} == rows
    assert len(found) == sum(rows.values())
    assert sum(name.startswith("maskformer") for name in OURS) == 6 + 2 + 7 + 2 + 1 + 1


def test_every_recipe_can_be_written_down_and_read():
    for name in OURS:
        config = make_recipe(name)
        assert from_dict(to_dict(config)) == config


def test_coco_is_trained_for_50_epochs_and_swin_l_for_100():
    for name, steps, milestones in (
        ("mask2former_r50_coco", 368_750, (327_778, 355_092)),
        ("mask2former_swin_l_coco", 737_500, (655_556, 710_184)),
    ):
        config = make_recipe(name)
        assert (config.training.steps, config.training.effective_batch) == (steps, 16)
        assert config.optimizer.schedule == "step"
        assert [round(m * steps) for m in config.optimizer.milestones] == list(milestones)
        augment = config.augment
        assert (augment.crop, augment.scale_range, augment.scale_relative_to) == ((1024, 1024), (0.1, 2.0), "fit")
        assert not augment.ssd_jitter and not augment.short_side
        assert config.evaluation_size == FitConfig(short_side=800, long_side=1333, multiple=32)
    assert make_recipe("mask2former_swin_l_coco").model.num_queries == 200
    maskformer = make_recipe("maskformer_r50_coco")
    assert (maskformer.training.steps, maskformer.training.effective_batch) == (554_400, 64)
    assert [round(m * 554_400) for m in maskformer.optimizer.milestones] == [369_600]
    assert maskformer.augment.short_side == (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)


@pytest.mark.parametrize("name", SHORT_SIDES)
def test_the_short_side_recipes_have_the_tables_sizes(name):
    config = make_recipe(name)
    steps, crop, first, last, longest, test_short, test_longest = SHORT_SIDES[name]
    augment = config.augment
    assert (config.training.steps, config.training.effective_batch) == (steps, 16)
    assert (config.optimizer.schedule, config.optimizer.poly_power) == ("poly", 0.9)
    assert (augment.crop, augment.max_side, augment.ssd_jitter) == (crop, longest, True)
    assert augment.short_side == tuple(int(x * 0.1 * (first * 2)) for x in range(5, 21))
    assert (augment.short_side[0], augment.short_side[-1]) == (first, last)
    assert config.evaluation_size == FitConfig(short_side=test_short, long_side=test_longest)


@pytest.mark.parametrize("name", OURS)
def test_what_all_have_in_common(name):
    config = make_recipe(name)
    optimizer = config.optimizer
    assert optimizer.gradient_clip == 0.01
    assert (config.augment.copy_paste, config.augment.pad_position) == (0.0, "bottom_right")
    assert config.criterion.drop_removed_targets
    if name.endswith("nano"):
        return
    swin, first = "swin" in name, name.startswith("maskformer")
    rates = (6e-5, 1.0, 0.01) if swin and first else (1e-4, 0.1, 1e-4 if first else 0.05)
    assert (optimizer.learning_rate, optimizer.backbone_multiplier, optimizer.weight_decay) == rates
    assert optimizer.warmup * config.training.steps == pytest.approx(1_500 if swin and first else 0)
    assert config.model.backbone_drop_path == (0.3 if swin else 0.0)
    assert "_vspw" in name or config.merge.pixel_test != first
    assert config.criterion.mask_loss == ("focal" if first else "points_bce")
    trained = "mask2former" in name and ("cityscapes" in name or name == "mask2former_r101_ade20k_semantic")
    assert config.model.frozen_batch_norm != trained
    if "mapillary" in name and not first:
        assert config.merge.object_threshold == 0.0


def test_weight_decay_spares_norms_embeddings_and_tables():
    config = make_recipe("mask2former_swin_t_coco")
    config.model.pretrained = False
    with torch.device("meta"):
        model = create_model(config.model, 3)
    exempt = model.no_weight_decay()
    decayed = {name for name, _ in model.named_parameters()} - exempt
    assert not any(word in name for name in decayed for word in ("norm", "query_", "position_bias"))
    assert "level_embed" not in decayed and "pixel_decoder.level_embed" in decayed
    assert {"backbone.model.layers.0.blocks.0.attn.qkv.weight", "classifier.weight"} <= decayed


def test_foreign_weights_find_their_recipe():
    assert matching_recipe("mask2former", "swin_large_patch4_window12_384", 133) == "mask2former_swin_l_coco"
    assert matching_recipe("mask2former", "resnet50", 65) == "mask2former_r50_mapillary"
    assert matching_recipe("mask2former", "swin_small_patch4_window7_224", 65) == "mask2former_r50_mapillary"
    assert matching_recipe("mask2former", "resnet18", 7) == "mask2former_r50_coco"
    assert matching_recipe("maskformer", "resnet101s", 150) == "maskformer_r101c_ade20k_semantic"
    assert matching_recipe("maskformer", "swin_tiny_patch4_window7_224.ms_in1k", 133) == "maskformer_swin_t_coco"
    assert matching_recipe("maskformer", "resnet50", 19) == "maskformer_r50_coco"
    for classes in DATASETS:
        make_recipe(matching_recipe("mask2former", "resnet50", classes))


@pytest.mark.parametrize("name", ["mask2former_nano", "maskformer_nano"])
def test_two_steps(name, tiny_scenes):
    config = make_tiny_config(name)
    torch.manual_seed(0)
    task = PanopticTask(config, tiny_scenes.taxonomy).train()
    optimizer = make_optimizer(task.model, task.techniques, config.optimizer)
    batches = iter(training_loader(tiny_scenes, config))
    before = {name: p.clone() for name, p in task.model.named_parameters()}
    for _ in range(2):
        losses, _ = task.losses(*next(batches))
        total = sum(losses.values())
        assert torch.isfinite(total)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert all(not torch.equal(p, before[name]) for name, p in task.model.named_parameters())
