"""Folding changes the speed, not the outputs."""

from dataclasses import replace

import pytest
import torch
from model_contract import assert_same, randomise
from torch.nn.modules.batchnorm import _BatchNorm

from pantile.backbones import create_backbone
from pantile.models import create_model, fold_batch_norms, kmax_nano_config


def norms(model):
    return sum(isinstance(module, _BatchNorm) for module in model.modules())


@pytest.mark.parametrize(
    ("name", "left"),
    [("resnet18", 0), ("resnet50", 0), ("mobilenetv3_small_100", 0), ("mobilenetv3_large_100", 0), ("test_resnet", 1)],
)
def test_backbones(name, left):
    torch.manual_seed(0)
    backbone = create_backbone(name).eval()
    with torch.no_grad():
        randomise(backbone)
        images = torch.randn(2, 3, 65, 65)
        folded = fold_batch_norms(backbone)
        assert_same(tuple(backbone(images).values()), tuple(folded(images).values()), 1e-4)
    assert norms(folded) == left


def test_whole_model():
    torch.manual_seed(0)
    config = replace(kmax_nano_config(), num_queries=8)
    model = create_model(config, 3).train()
    with torch.no_grad():
        randomise(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folded = fold_batch_norms(model)
    assert model.training and not folded.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    images = torch.randn(1, 3, 65, 65)
    with torch.no_grad():
        assert_same(model.eval()(images, layer_outputs=True), folded(images, layer_outputs=True), 1e-3)
    # axial attention: 2 of 3 in each of 4; layers: k-means, 2 of attention, mask norm; predictor: mask norm;
    # backbone: one after its deep stem
    assert norms(folded) == 4 * 2 + 3 * 4 + 1 + 1
