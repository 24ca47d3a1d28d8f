"""Multiply-adds of Mask2Former and MaskFormer against what a counter says of the original code.

The original also predicts masks from every earlier layer at test time (here the attention areas of Mask2Former are made
from pooled features instead), and the counts include its semantic inference, a product of classes and masks at the
image's resolution. Both are added to ours; what is left are norms, which only that counter counts.
"""

import pytest
import torch

from pantile.models import create_model
from pantile.models.cost import count_cost
from pantile.recipes import make_recipe

QUERIES, CHANNELS = 100, 256


@pytest.mark.parametrize(
    ("recipe", "classes", "size", "earlier", "billions"),
    [
        ("mask2former_r50_ade20k_semantic", 150, (512, 512), 9, 70.75),
        ("mask2former_swin_t_ade20k_semantic", 150, (512, 512), 9, 73.64),
        ("mask2former_r50_coco", 133, (1024, 1024), 9, 276.4),
        ("mask2former_r50_coco", 133, (800, 1088), 9, 229.7),
        ("mask2former_r50_cityscapes", 19, (1024, 2048), 9, 527.3),
        ("maskformer_r50_ade20k_semantic", 150, (512, 512), 5, 55.1),
        ("maskformer_swin_s_ade20k_semantic", 150, (512, 512), 5, 81.079),
    ],
)
def test_counts(recipe, classes, size, earlier, billions):
    config = make_recipe(recipe).model
    config.pretrained = False
    with torch.device("meta"):
        model = create_model(config, classes)
    height, width = size
    masks = earlier * QUERIES * CHANNELS * height * width // 16
    semantic = QUERIES * classes * height * width
    assert (count_cost(model, size).multiply_adds + masks + semantic) / 1e9 == pytest.approx(billions, rel=0.01)
