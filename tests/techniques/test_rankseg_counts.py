"""Parameters of RankSeg's rows in the paper (Tables 3, 6 and 7), as inference has them."""

import pytest
import torch
from rankseg_models import taxonomy

from pantile.engine.run_cost import run_cost
from pantile.models import create_model
from pantile.recipes import make_recipe
from pantile.techniques import EncNetConfig, ESSNetConfig, RankSegConfig, TechniquesConfig, build_techniques


def parameters(recipe: str, classes: int, **settings) -> int:
    config = make_recipe(recipe)
    config.model.pretrained = False
    for field, value in settings.items():
        setattr(config.techniques.rankseg, field, value)
    with torch.device("meta"):
        model = create_model(config.model, classes, [False] * classes)
        techniques = build_techniques(config.techniques, model, taxonomy(classes))
    assert all(technique.needed_at_inference for technique in techniques.values())
    return sum(p.numel() for module in (model, techniques) for p in module.parameters())


@pytest.mark.parametrize(
    ("recipe", "classes", "expected"),
    [
        ("segmenter_b_pascal_context", 60, 109_468_526),
        ("segmenter_b_ade20k", 150, 109_702_138),
        ("segmenter_b_coco_stuff10k", 171, 109_734_415),
        ("segmenter_b_ade20k_full", 847, 110_773_527),
        ("segmenter_b_coco_lvis", 1284, 111_445_196),
        ("segmenter_l_ade20k", 150, 345_986_298),
        ("segmenter_l_coco_stuff10k", 171, 346_029_327),
        ("segmenter_l_coco_lvis", 1284, 348_309_964),
        ("deeplabv3_r101_ade20k", 150, 91_489_670),  # the published code has 91.49 M, the paper 91.87
        ("mask2former_swin_l_ade20k", 150, 215_539_979 + 3_438_893),
        ("vit_adapter_l_ade20k_semantic", 150, 584_699_780),  # 584.71 M
    ],
)
def test_default_head(recipe, classes, expected):
    assert parameters(f"{recipe}_rankseg", classes) == expected


@pytest.mark.parametrize(("head", "expected"), [("pooling", 103_235_599), ("decoder", 114_265_103)])
def test_other_heads(head, expected):
    assert parameters("segmenter_b_coco_stuff10k_rankseg", 171, head=head) == expected


def test_what_it_is_compared_with():
    config = make_recipe("segmenter_b_ade20k")
    config.techniques = TechniquesConfig(encnet=EncNetConfig())
    assert run_cost(config, [False] * 150, (64, 64)).parameters == 109_154_178
    config.techniques = TechniquesConfig(essnet=ESSNetConfig())
    config.model.embed_channels = 64
    assert run_cost(config, [False] * 150, (64, 64)).parameters == 101_416_236


def test_the_command_counts_what_inference_needs():
    """Selection and what it needs; not a head that only helps training."""
    counts = {}
    for selection in ("predicted", "none"):
        rankseg = RankSegConfig(selection=selection, temperature="host")
        config = make_recipe("deeplabv3_nano")
        plain = run_cost(config, [True] * 4, (64, 64))
        config.techniques = TechniquesConfig(rankseg=rankseg)
        counts[selection] = run_cost(config, [True] * 4, (64, 64))
    head = counts["none"].training_only_parameters - plain.training_only_parameters
    assert counts["predicted"].parameters == plain.parameters + head > plain.parameters
    assert counts["none"].parameters == plain.parameters
    assert counts["none"].multiply_adds == plain.multiply_adds < counts["predicted"].multiply_adds
