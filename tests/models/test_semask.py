"""SeMask: its layer against a loop over windows, Swin untouched at the start, the class map's loss."""

import math

import pytest
import torch
import torch.nn.functional as F
from model_contract import ModelContract

from pantile.backbones import create_backbone
from pantile.backbones.semask_swin import SemanticLayer
from pantile.contracts.errors import UserError
from pantile.contracts.targets import PanopticTargets
from pantile.losses.semask import SeMaskCriterion, SeMaskCriterionConfig
from pantile.losses.set_criterion import SetCriterion, SetCriterionConfig
from pantile.models.semask import SeMask, SeMaskConfig, semask_nano_config

NANO = vars(semask_nano_config()) | {"num_queries": 6, "encoder_layers": 1}


def tiny_swin():
    torch.manual_seed(0)
    return create_backbone("swin_nano_patch4_window7_224")


class TestContract(ModelContract):
    test_compiles_without_a_graph_break = test_exports = None  # Mask2Former's, which takes long

    def config(self):
        return SeMaskConfig(**NANO)

    def check_shapes(self, output, num_classes, images):
        size = tuple(math.ceil(side / 4) for side in images.shape[2:])
        assert output.class_logits.shape == (len(images), 6, num_classes + 1)
        assert output.mask_logits.shape == (len(images), 6, *size)
        if output.semantic_logits is not None:
            assert output.semantic_logits.shape == (len(images), num_classes + 1, *size)


@torch.no_grad()
def test_semantic_layer_is_a_loop_over_windows():
    torch.manual_seed(0)
    layer = SemanticLayer(8, 5, (3, 2), dropout=0.1).eval()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, 5, 7, 8)
    actual, classes = layer(x)
    normed = F.pad(layer.norm(x), (0, 0, 0, 1, 0, 1))
    for image in range(2):
        for top in (0, 3):
            for left in (0, 2, 4, 6):
                pixels = normed[image, top : top + 3, left : left + 2].reshape(6, 8)
                query, key, value = layer.query(pixels), layer.key(pixels), layer.value(pixels)
                added = layer.gamma * layer.out((query @ key.T).softmax(dim=1) @ value)
                rows, columns = slice(top, min(top + 3, 5)), slice(left, min(left + 2, 7))
                height, width = rows.stop - top, columns.stop - left
                expected = x[image, rows, columns] + added.view(3, 2, 8)[:height, :width]
                assert torch.allclose(actual[image, rows, columns], expected, atol=1e-5)
                seen = query.view(3, 2, 5)[:height, :width].permute(2, 0, 1)
                assert torch.allclose(classes[image, :, rows, columns], seen, atol=1e-5)


@torch.no_grad()
def test_at_the_start_swin_is_what_it_was():
    swin = tiny_swin().eval()
    images = torch.randn(1, 3, 64, 96)
    expected = swin(images)
    model = SeMask(SeMaskConfig(**NANO | {"backbone": swin}), 5).eval()
    actual = model.backbone(images)
    assert actual.keys() == expected.keys()
    assert all(torch.equal(actual[name], expected[name]) for name in expected)


def test_loss_of_the_class_map_is_beside_those_of_the_masks():
    model = TestContract().model()
    output = model.train()(torch.randn(1, 3, 64, 64))
    ids = torch.zeros(1, 64, 64, dtype=torch.int32)
    ids[0, :20], ids[0, 20:50] = 1, 2
    classes = torch.tensor([[3, 1]])
    targets = PanopticTargets(ids, classes, torch.zeros_like(classes, dtype=torch.bool), ("a",))
    settings = {"points": 16}
    ours = SeMaskCriterion(SeMaskCriterionConfig(**settings))(output, targets, torch.Generator().manual_seed(0))
    plain = SetCriterion(SetCriterionConfig(**settings))(output, targets, torch.Generator().manual_seed(0))
    semantic = ours.losses.pop("semantic")
    assert ours.losses == plain.losses
    logits = F.interpolate(output.semantic_logits[:, :5], (64, 64), mode="bilinear")
    label = torch.full((1, 64, 64), 255)
    label[0, :20], label[0, 20:50] = 3, 1
    assert torch.allclose(semantic, 0.4 * F.cross_entropy(logits, label, ignore_index=255), atol=1e-5)
    with pytest.raises(UserError, match=r"criterion\.semantic_weight is -1"):
        SeMaskCriterionConfig(semantic_weight=-1)


def test_published_parameters():
    """222 M, which is a rounded number; 215,488,779 of Mask2Former with Swin-L."""
    channels, classes = (192, 384, 768, 1536), 150
    added = sum(2 * c * c + 2 * c + 2 * (c + 1) * classes + 2 * c + 1 for c in channels)
    assert (215_488_779 + added) / 1e6 == pytest.approx(222, rel=0.004)
    small = SemanticLayer(192, classes, (12, 12), 0.1)
    assert sum(p.numel() for p in small.parameters()) == 2 * 192**2 + 2 * 192 + 2 * 193 * 150 + 2 * 192 + 1


def test_other_backbones_are_told():
    with torch.device("meta"), pytest.raises(UserError, match="ResNetBackbone is not a Swin"):
        SeMask(SeMaskConfig(**NANO | {"backbone": "test_resnet"}), 3)
