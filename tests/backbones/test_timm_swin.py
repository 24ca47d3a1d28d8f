"""Swin against Hugging Face's backbone, whose features the published segmentation models were trained on."""

import pytest
import torch
from timm.models.swin_transformer import SwinTransformer
from transformers import SwinConfig
from transformers.models.swin.modeling_swin import SwinBackbone as TheirSwin

from pantile.backbones.timm_swin import SwinBackbone, shift_separation
from pantile.convert.huggingface_mask2former import SWIN
from pantile.convert.huggingface_names import pair_names, rename_to_ours

DEPTHS, HEADS, WIDTH = (2, 2, 2, 2), (1, 2, 4, 8), 16
STAGES = ["stage1", "stage2", "stage3", "stage4"]


def both_backbones(window):
    torch.manual_seed(0)
    size = 32 * window  # so that timm shrinks no window
    theirs = TheirSwin(
        SwinConfig(
            embed_dim=WIDTH,
            depths=list(DEPTHS),
            num_heads=list(HEADS),
            window_size=window,
            drop_path_rate=0.0,
            out_features=STAGES,
        )
    ).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.2
            parameter.copy_((parameter.ndim == 1) + scale * torch.randn_like(parameter))
    model = SwinTransformer(img_size=size, embed_dim=WIDTH, depths=DEPTHS, num_heads=HEADS, window_size=window)
    ours = SwinBackbone(model).eval()
    state = {name: tensor for name, tensor in theirs.state_dict().items() if not name.startswith("swin.layernorm")}
    expected = ours.state_dict()
    ours.load_state_dict(rename_to_ours(state, pair_names(expected, SWIN), expected))
    return theirs, ours


@pytest.mark.parametrize("window", [7, 12])
def test_features_are_hugging_faces(window):
    theirs, ours = both_backbones(window)
    for size in ((384, 512), (333, 446), (35, 30)):
        images = torch.randn(2, 3, *size)
        with torch.no_grad():
            expected, features = theirs(images).feature_maps, ours(images)
        for name, tensor in zip(("res2", "res3", "res4", "res5"), expected, strict=True):
            assert tensor.abs().max() > 1
            torch.testing.assert_close(features[name], tensor, atol=2e-5, rtol=0, msg=f"{name} at {size}")


def test_every_parameter_is_used():
    backbone = SwinBackbone(SwinTransformer(img_size=224, embed_dim=WIDTH, depths=DEPTHS, num_heads=HEADS))
    features = backbone(torch.randn(1, 3, 65, 65))
    sum(feature.square().mean() for feature in features.values()).backward()
    assert [name for name, p in backbone.named_parameters() if p.grad is None] == []


def test_shifted_pixels_are_separated_by_where_they_came_from():
    """One line of six pixels, windows of two, shifted by one: the last window holds pixels 5 and 0."""
    separation = shift_separation((1, 3), (2, 2), torch.device("cpu"))
    assert separation.shape == (3, 4, 4)
    rows = torch.tensor([0, 0, 1, 1])
    columns = torch.tensor([0, 1, 0, 1])
    other_row = rows[:, None] != rows  # the only row of windows holds rows 1 and 0
    other_column = columns[:, None] != columns
    for window, expected in enumerate((other_row, other_row, other_row | other_column)):
        assert torch.equal(separation[window] < 0, expected)
