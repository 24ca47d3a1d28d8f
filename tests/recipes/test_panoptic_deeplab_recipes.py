"""The rows of SWideRNet's tables by name, with the settings of its section 4."""

import pytest
import torch

from pantile.contracts.errors import UserError
from pantile.data import FitConfig
from pantile.engine.config import from_dict, override, to_dict
from pantile.models import PanopticDeepLabConfig, create_model
from pantile.recipes import list_recipes, make_recipe

FAST = ("025_025_075", "025_035_075", "025_035_1", "025_05_1", "025_075_1")
# millions of parameters with 201 classes, as printed
TABLE_3 = {
    "wr41_coco": 147.32,
    "wr41_mg_coco": 147.32,
    "wr41_sac_coco": 151.26,
    "swidernet_1_1_1_coco": 168.77,
    "swidernet_1_1_1_separable_coco": 136.92,
}
TABLE_4 = {
    "swidernet_1_15_1_coco": "swidernet_1_1.5_1",
    "swidernet_1_2_1_coco": "swidernet_1_2_1",
    "swidernet_1_1_2_coco": "swidernet_1_1_2",
    "swidernet_1_1_3_coco": "swidernet_1_1_3",
    "swidernet_1_1_4_coco": "swidernet_1_1_4",
    "swidernet_1_1_5_coco": "swidernet_1_1_5",
    "swidernet_1_1_55_coco": "swidernet_1_1_5.5",
    "swidernet_1_1_55_coco_autoaugment": "swidernet_1_1_5.5",
    "swidernet_1_1_6_coco": "swidernet_1_1_6",
    "swidernet_1_15_2_coco": "swidernet_1_1.5_2",
    "swidernet_1_15_3_coco": "swidernet_1_1.5_3",
    "swidernet_1_1_3_coco_1025": "swidernet_1_1_3",
    "swidernet_1_1_4_coco_1025": "swidernet_1_1_4",
}
OTHERS = [
    "lite0",
    *(f"swidernet_{factors}_{data}" for factors in FAST for data in ("coco", "cityscapes")),
    "swidernet_1_1_45_cityscapes",
    "swidernet_1_1_45_mapillary",
    "swidernet_1_1_4_ade20k",
    "swidernet_1_15_3_ade20k",
    "r50_coco",
    "r50_cityscapes",
    "nano",
]


def recipe(name):
    return make_recipe(f"panoptic_deeplab_{name}")


def test_names():
    ours = {name for name in list_recipes() if name.startswith("panoptic_deeplab_")}
    assert ours == {f"panoptic_deeplab_{name}" for name in (*TABLE_3, *TABLE_4, *OTHERS)}


@pytest.mark.parametrize("name", TABLE_3)
def test_models_of_table_3(name):
    config = recipe(name)
    with torch.device("meta"):
        model = create_model(config.model, 201)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == TABLE_3[name]
    assert config.model.regime == ("fast" if "separable" in name else "strong")
    assert {block.drop_path.drop_prob for block in model.backbone.conv4} == {0.2}


@pytest.mark.parametrize("name", TABLE_4)
def test_models_of_table_4(name):
    """The whole model is given by its backbone's name and stochastic depth; the sizes are tested with the model."""
    config = recipe(name)
    assert config.model == PanopticDeepLabConfig(backbone=TABLE_4[name], backbone_drop_path=0.2)
    large, strong_colours = name.endswith("1025"), name.endswith(("1025", "autoaugment"))
    assert config.augment.crop == ((1025, 1025) if large else (641, 641))
    assert config.augment.policy_magnitude == (0.2 if strong_colours else 0.0)


def test_multi_grid_is_one_row_only():
    rows = {name for name in (*TABLE_3, *TABLE_4) if (options := recipe(name).model.swidernet) and options.multi_grid}
    assert rows == {"wr41_mg_coco"}


@pytest.mark.parametrize("factors", FAST)
def test_fast_models(factors):
    coco, cityscapes = recipe(f"swidernet_{factors}_coco"), recipe(f"swidernet_{factors}_cityscapes")
    assert coco.model == cityscapes.model
    assert coco.model.regime == "fast" and not coco.model.separable_norm
    assert coco.model.backbone.replace(".", "") == f"swidernet_{factors}"


@pytest.mark.parametrize(
    ("name", "crop", "steps", "batch", "stuff_area"),
    [
        ("swidernet_1_1_4_coco", (641, 641), 500_000, 64, 4096),
        ("swidernet_1_1_45_cityscapes", (1025, 2049), 60_000, 32, 2048),
        ("swidernet_1_1_45_mapillary", (1025, 2049), 300_000, 32, 4096),
        ("swidernet_1_1_4_ade20k", (641, 641), 180_000, 64, 4096),
    ],
)
def test_settings_of_the_data_sets(name, crop, steps, batch, stuff_area):
    config = recipe(name)
    assert config.augment.crop == crop
    whole_images = FitConfig(long_side=2049, remainder=1) if "mapillary" in name else crop
    assert config.evaluation_size == whole_images
    assert (config.training.steps, config.training.effective_batch) == (steps, batch)
    assert config.merge.stuff_area_limit == stuff_area


@pytest.mark.parametrize("name", [*TABLE_3, *TABLE_4])
def test_optimisation_of_the_paper(name):
    """Adam without weight decay, poly from 1e-4; random scales and nothing else but the policy."""
    config = recipe(name)
    optimizer = config.optimizer
    assert (optimizer.learning_rate, optimizer.weight_decay, optimizer.warmup) == (1e-4, 0.0, 0.0)
    assert (optimizer.schedule, optimizer.poly_power, optimizer.backbone_multiplier) == ("poly", 0.9, 1.0)
    assert (config.augment.copy_paste, config.augment.ssd_jitter) == (0.0, False)


def test_overrides_reach_the_backbone_and_files_keep_it():
    config = override(recipe("swidernet_1_1_1_coco"), ["model.swidernet.squeeze_excite=false", "model.regime=fast"])
    assert config.model.swidernet.squeeze_excite is False
    assert from_dict(to_dict(config)) == config
    with pytest.raises(UserError, match=r"model\.regime"):
        override(config, ["model.regime=medium"])
