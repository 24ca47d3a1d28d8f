"""Plain transformers: timm's own features at the native size, any other size, and ViTDet's pyramid of them."""

from math import ceil

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from pantile.backbones import create_backbone
from pantile.backbones.simple_pyramid import SimplePyramid
from pantile.backbones.timm_tokens import PlainTransformer
from pantile.backbones.timm_vit import create_vit

#: of every kind, as small as timm's constructors allow: class tokens, registers, rotary positions, SwiGLU
SMALL = {"depth": 2, "embed_dim": 32, "num_heads": 2, "img_size": 64}
KINDS = {
    "vit_tiny_patch16_224": 16,
    "deit_tiny_distilled_patch16_224": 16,
    "vit_small_patch14_dinov2": 14,
    "vit_small_patch14_reg4_dinov2": 14,
    "vit_small_patch16_dinov3": 16,
    "eva02_tiny_patch14_224": 14,
}


def small(name: str, **options) -> torch.nn.Module:
    torch.manual_seed(0)
    model = timm.create_model(name, **SMALL | {"img_size": 4 * KINDS[name]} | options).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # positions and registers start near 0
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("name", KINDS)
def test_features_are_timms_at_the_native_size_and_exist_at_every_other(name):
    reference = small(name)
    model = small(name, dynamic_img_size=True)
    model.load_state_dict(reference.state_dict())
    tokens = PlainTransformer(model).eval()
    patch = KINDS[name]
    images = torch.randn(2, 3, 4 * patch, 4 * patch)
    with torch.no_grad():
        expected = reference.forward_features(images)[:, reference.num_prefix_tokens :]
        actual = tokens(images)
        assert actual.shape == (2, 32, 4, 4)
        torch.testing.assert_close(actual.flatten(2).transpose(1, 2), expected, rtol=0, atol=1e-5)
        for size in ((3, 5), (65, 33)):
            grid = tuple(ceil(side / patch) for side in size)
            assert tokens(torch.randn(1, 3, *size)).shape == (1, 32, *grid)


def plain_pyramid(pyramid: SimplePyramid, x: Tensor) -> dict[str, Tensor]:
    """The paper's figure, line by line, for patches of 16 pixels."""

    def norm(layer, x):
        mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
        return (x - mean) / (variance + 1e-6).sqrt() * layer.weight[:, None, None] + layer.bias[:, None, None]

    def narrow(one, first, three, second, x):
        return norm(second, F.conv2d(norm(first, F.conv2d(x, one.weight)), three.weight, padding=1))

    def enlarge(layer, x):
        return F.conv_transpose2d(x, layer.weight, layer.bias, stride=2)

    four, eight, sixteen, coarse = (list(pyramid.pyramid[name]) for name in ("res2", "res3", "res4", "res5"))
    return {
        "res2": narrow(*four[4:], enlarge(four[3], F.gelu(norm(four[1], enlarge(four[0], x))))),
        "res3": narrow(*eight[1:], enlarge(eight[0], x)),
        "res4": narrow(*sixteen, x),
        "res5": narrow(
            *coarse[1:],
            x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2].unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5)),
        ),
    }


def test_the_pyramid_is_vitdets():
    pyramid = SimplePyramid(PlainTransformer(small("vit_tiny_patch16_224", dynamic_img_size=True))).eval()
    with torch.no_grad():
        for parameter in pyramid.pyramid.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        images = torch.randn(2, 3, 64, 96)
        expected, actual = plain_pyramid(pyramid, pyramid.tokens(images)), pyramid(images)
    widths = {name: level[-4].in_channels for name, level in pyramid.pyramid.items()}
    assert widths == {"res5": 32, "res4": 32, "res3": 16, "res2": 8}
    for name, x in expected.items():
        torch.testing.assert_close(actual[name], x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["test_vit", "vit_small_patch14_reg4_dinov2", "vit_small_patch8_224"])
def test_four_maps_of_any_size(name):
    with torch.device("meta"):
        backbone = create_backbone(name).eval()
        for size in ((257, 130), (5, 7)):
            features = backbone(torch.empty(1, 3, *size))
            for feature, stride in {"res2": 4, "res3": 8, "res4": 16, "res5": 32}.items():
                assert features[feature].shape == (1, 256, *(ceil(side / stride) for side in size)), feature


def test_weights_of_14_pixels_are_resampled_to_16(tmp_path):
    name = "eva02_tiny_patch14_224"
    torch.manual_seed(0)
    source = timm.create_model(name, img_size=56)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    backbone = create_backbone(name, weights_file=str(tmp_path / "w.safetensors"), image_size=(64, 64))
    model = backbone.tokens.model
    assert model.patch_embed.proj.weight.shape[2:] == (16, 16)
    torch.testing.assert_close(model.pos_embed, source.pos_embed)  # four patches a side before and after
    torch.testing.assert_close(model.blocks[3].mlp.fc2.weight, source.blocks[3].mlp.fc2.weight)


def test_segmenter_takes_them_too():
    with torch.device("meta"):
        backbone = create_vit("vit_small_patch16_dinov3", image_size=(64, 64), patch_size=8, in_channels=4).eval()
        assert isinstance(backbone, PlainTransformer)
        assert backbone(torch.empty(1, 4, 33, 20)).shape == (1, 384, 5, 3)
