"""BEiT: positions of other sizes against Hugging Face's, sizes of the four maps, and what is refused."""

import math

import pytest
import torch
from timm.models.beit import Beit

from pantile.backbones import create_backbone
from pantile.backbones.timm_beit import BeitBackbone, relative_bias
from pantile.contracts.errors import UserError


def tiny_beit(side=64, **options):
    torch.manual_seed(0)
    model = Beit(
        img_size=side, embed_dim=32, depth=6, num_heads=2, use_abs_pos_emb=False, use_rel_pos_bias=True, init_values=0.1
    )
    backbone = BeitBackbone(model, **options).eval()
    with torch.no_grad():
        for table in backbone.tables:
            table.normal_()
    return backbone


@pytest.mark.parametrize("size", [(64, 64), (65, 33), (97, 130)])
def test_sizes_of_the_maps(size):
    features = tiny_beit()(torch.randn(1, 3, *size))
    for name, stride in {"res2": 4, "res3": 8, "res4": 16, "res5": 32}.items():
        assert features[name].shape == (1, 32, *(math.ceil(side / stride) for side in size))


def test_features_are_timms_at_the_stored_size():
    backbone = tiny_beit()
    reference = Beit(
        img_size=64, embed_dim=32, depth=6, num_heads=2, use_abs_pos_emb=False, use_rel_pos_bias=True, init_values=0.1
    ).eval()
    state = {name.removeprefix("model."): tensor for name, tensor in backbone.state_dict().items()}
    for index, table in enumerate(backbone.tables):
        state[f"blocks.{index}.attn.relative_position_bias_table"] = table
    missing = reference.load_state_dict(state, strict=False).missing_keys
    assert all(name.startswith(("norm.", "fc_norm.", "head.")) for name in missing)  # of which ours has no use
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = reference.forward_intermediates(images, indices=[3], intermediates_only=True)[0]
        assert torch.allclose(backbone(images)["res4"], expected, atol=1e-5)


@pytest.mark.parametrize("size", [(5, 3), (8, 8)])
def test_positions_of_other_sizes_are_hugging_faces(size):
    transformers = pytest.importorskip("transformers")
    from transformers.models.beit.modeling_beit import BeitRelativePositionBias

    config = transformers.BeitConfig(image_size=64, patch_size=16, num_attention_heads=2, hidden_size=8)
    theirs = BeitRelativePositionBias(config)
    with torch.no_grad():
        theirs.relative_position_bias_table.normal_()
        expected = theirs(size, interpolate_pos_encoding=True, dim_size=1 + size[0] * size[1])
        actual = relative_bias(theirs.relative_position_bias_table, (4, 4), size)
    tokens = 1 + size[0] * size[1]
    assert torch.allclose(actual, expected.view(1, 2, tokens, tokens), atol=1e-6)


def test_what_cannot_be_is_told():
    for blocks in ((1, 2, 3, 7), (0, 2, 3, 4), (2, 2, 3, 4)):
        with pytest.raises(UserError, match=r"give four rising numbers from 1 to 6"):
            tiny_beit(feature_blocks=blocks)
    with pytest.raises(UserError, match="output stride 32"):
        tiny_beit(output_stride=16)
    with torch.device("meta"), pytest.raises(UserError, match=r"model\.output_stride"):
        create_backbone("beit_base_patch16_224", output_stride=16)
