"""CMT-DeepLab: published sizes, each ingredient a switch, and the recursive network."""

import math
from dataclasses import replace

import pytest
import torch
from model_contract import ModelContract, assert_one_graph_that_exports, assert_same, randomise

from pantile.backbones import AxialResNet, AxialResNetConfig
from pantile.contracts.errors import UserError
from pantile.layers.reference_mask import ReferenceMask
from pantile.models import CMTDeepLabConfig, cmt_nano_config, create_model
from pantile.models.cmt_layer import ClusteringLayer
from pantile.recipes import make_recipe

TINY = replace(
    cmt_nano_config(), num_queries=7, bottleneck=16, query_channels=12, embed_channels=8, ffn_channels=24, num_heads=2
)
TINY.auxiliary_channels = 16


def tiny_backbone(width=4, in_channels=3):
    config = AxialResNetConfig(blocks=(1, 1, 1, 1), width=width, stem_width=4, num_heads=2)
    return AxialResNet(config, output_stride=16, in_channels=in_channels)


def tiny(num_classes=5, **changes):
    torch.manual_seed(0)
    backbones = {"backbone": tiny_backbone(in_channels=changes.get("in_channels", 3))}
    return create_model(replace(TINY, **backbones | changes), num_classes)


class TestContract(ModelContract):
    graphs_apart = "it takes half a minute of a core; a layer and kMaX's axial attention are in every run"

    def config(self):
        return TINY

    def model(self, num_classes=None, **changes):
        return tiny(num_classes or self.num_classes, **changes)

    def check_shapes(self, output, num_classes, images):
        batch, _, height, width = images.shape
        fine = (math.ceil(height / 4), math.ceil(width / 4))
        assert output.class_logits.shape == (batch, 7, num_classes + 1)
        assert output.mask_logits.shape == (batch, 7, *fine)
        assert output.pixel_embed.shape == (batch, 8, *fine)
        for layer, stride in zip(output.layers, (16, 8), strict=False):
            coarse = (math.ceil(height / stride), math.ceil(width / stride))
            assert layer.mask_logits.shape == layer.reference_masks.shape == (batch, 7, *coarse)
            assert layer.pixel_feature.shape == (batch, 16, *coarse)


@pytest.mark.parametrize(
    ("recipe", "millions"),
    [
        ("cmt_deeplab_axial_r50_coco", 94.9),
        ("cmt_deeplab_axial_r104_coco", 135.2),
        ("cmt_deeplab_axial_r104_rfn_coco", 270.3),
    ],
)
def test_published_sizes(recipe, millions):
    with torch.device("meta"):
        model = create_model(make_recipe(recipe).model, 133)
    extra = sum(p.numel() for p in model.auxiliary_head.parameters())
    assert (sum(p.numel() for p in model.parameters()) - extra) / 1e6 == pytest.approx(millions, abs=0.1)


SWITCHES = (
    {"cluster_update": False},
    {"pixel_update": "none"},
    {"pixel_update": "attention"},
    {"residual_assignment": False},
    {"reference_masks": False},
    {"coordinates": False},
)


@pytest.mark.parametrize("change", SWITCHES, ids=lambda c: "-".join(map(str, next(iter(c.items())))))
def test_every_ingredient_can_be_left_out(change):
    """And makes a difference, once the branches that start at zero are awake."""
    images = torch.randn(2, 3, 65, 65)
    models = [tiny(), tiny(**change)]
    states = [model.state_dict() for model in models]
    shared = {k: v for k, v in states[0].items() if k in states[1] and states[1][k].shape == v.shape}
    models[1].load_state_dict(shared, strict=False)
    outputs = []
    for model in models:
        for name, parameter in model.named_parameters():
            if name.endswith("_out.norm.weight"):
                torch.nn.init.ones_(parameter)
            if name.endswith("reference.project.conv.weight"):
                torch.nn.init.constant_(parameter, 0.3)
        outputs.append(model(images))
    assert not torch.allclose(outputs[0].mask_logits, outputs[1].mask_logits)
    outputs[1].mask_logits.square().sum().backward()


def test_deep_supervision_and_attention_on_request():
    model = tiny(deep_supervision=False).train()
    assert model(torch.randn(2, 3, 65, 65)).layers == () and model.mask_spec.num_layers == 0
    model = tiny().eval()
    with torch.no_grad():
        output = model(torch.randn(1, 3, 65, 65), layer_outputs=True)
    assert len(output.layers) == len(output.attention) == model.mask_spec.num_layers == 2
    assert output.attention[0].shape == output.layers[0].mask_logits.shape


def test_the_recursive_network_averages_at_stride_4():
    model = tiny(first_backbone=tiny_backbone(), backbone=tiny_backbone()).eval()
    assert model.mask_spec.num_layers == 5 and len({id(b) for b in model.backbone}) == 2
    seen = {}
    model.networks[0].decoder.register_forward_hook(lambda m, i, o: seen.update(skip=o))
    second = model.backbone[1]
    second.stages[0][-1].register_forward_hook(lambda m, i, o: seen.update(early=o))
    second.stages[1][0].register_forward_hook(lambda m, i, o: seen.update(entry=i[0]))
    with torch.no_grad():
        output = model(torch.randn(1, 3, 65, 65), layer_outputs=True)
    torch.testing.assert_close(seen["entry"], (seen["early"] + seen["skip"]) / 2)
    assert output.layers[2].mask_logits.shape == output.mask_logits.shape  # the first network's last
    with pytest.raises(UserError, match="the first network has 32 channels at stride 4 and the second 16"):
        tiny(first_backbone=tiny_backbone(width=8), backbone=tiny_backbone())


def test_steering_replaces_the_assignment():
    model = tiny().eval()
    images = torch.randn(1, 3, 65, 65)
    for name, parameter in model.named_parameters():
        if name.endswith("_out.norm.weight"):
            torch.nn.init.ones_(parameter)
    with torch.no_grad():
        plain = model(images)
        model.steer = lambda index, output: output.mask_logits
        assert_same(plain, model(images))
        model.steer = lambda index, output: output.mask_logits.flip(1)
        assert not torch.allclose(plain.mask_logits, model(images).mask_logits)


def test_a_layer_is_one_graph_and_exports():
    layer = ClusteringLayer(16, TINY, 5, drop_path=0.0)
    randomise(layer)
    assert_one_graph_that_exports(layer, torch.randn(1, 16, 5, 7), torch.randn(1, 12, 7), torch.randn(1, 7, 3, 4))


def test_reference_mask_peaks_at_its_centre():
    reference = ReferenceMask(3)
    with torch.no_grad():
        reference.project.conv.weight.zero_()
        reference.project.conv.bias.copy_(torch.tensor([math.atanh(0.5), math.atanh(-0.5), -2.0, -2.0]))
        mask = reference(torch.zeros(1, 3, 2), (9, 9))[0, 0]
    assert divmod(int(mask.argmax()), 9) == (6, 2) and mask.max() == pytest.approx(0, abs=1e-6)
    assert mask[6, 2] > mask[6, 4] > mask[6, 6]


def test_a_decoder_that_ends_nowhere_is_told():
    with pytest.raises(UserError, match=r"model.decoder is \(\(32, 1\),\)"):
        create_model(CMTDeepLabConfig(decoder=((32, 1),)), 3)
    with pytest.raises(UserError, match="keys of 30 / 2 channels cannot be split over"):
        create_model(CMTDeepLabConfig(bottleneck=30), 3)
