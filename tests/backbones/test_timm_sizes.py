"""timm's families at any size: what is tried out for them, and one sentence for those that cannot."""

from math import ceil

import pytest
import timm
import torch

from pantile.backbones import create_backbone
from pantile.backbones.timm_sizes import Sizing, sizing_of
from pantile.contracts.errors import UserError

SIZING = {
    "regnety_002": Sizing(),
    "poolformerv2_s12": Sizing(32),  # rounds down: 257 -> 64
    "swinv2_tiny_window8_256": Sizing(32, (("dynamic_img_size", True),)),
}


@pytest.mark.parametrize("name", SIZING)
def test_maps_of_every_size(name):
    assert sizing_of(name) == SIZING[name]
    with torch.device("meta"):
        backbone = create_backbone(name).eval()
        for size in ((257, 130), (5, 7)):
            features = backbone(torch.empty(1, 3, *size))
            for feature, stride in backbone.strides.items():
                channels = backbone.channels.get(feature)
                assert features[feature].shape == (1, channels, *(ceil(side / stride) for side in size)), feature


def test_padding_is_zeros_at_the_right_and_the_bottom():
    torch.manual_seed(0)
    backbone = create_backbone("edgenext_xx_small").eval()
    reference = timm.create_model("edgenext_xx_small", features_only=True).eval()
    reference.load_state_dict(backbone.model.state_dict())
    images = torch.randn(1, 3, 65, 33)
    padded = torch.zeros(1, 3, 96, 64)
    padded[:, :, :65, :33] = images
    with torch.no_grad():
        features, expected = backbone(images), reference(padded)
    assert torch.equal(features["res2"], expected[0][:, :, :17, :9])
    assert torch.equal(features["res5"], expected[3][:, :, :3, :2])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hiera_tiny_224", "takes images of one size only: chosen when timm builds it"),
        ("efficientformer_l1", "takes images of one size only: 224x224 pixels, which timm has no option to change"),
        ("levit_128s", r"has features of strides \[16, 32, 64\], without 4"),
        ("vit_tiny_r_s16_p8_224", "vit_tiny_r_s16_p8_224 has features of strides"),
    ],
)
def test_who_cannot_is_told_in_a_sentence(name, words):
    with pytest.raises(UserError, match=words) as error:
        create_backbone(name)
    assert str(error.value).startswith(f"model.backbone: {name}")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_it_is_tried_once(monkeypatch):
    sizing_of("regnety_002")
    monkeypatch.setattr(timm, "create_model", None)
    assert sizing_of("regnety_002") == Sizing()
