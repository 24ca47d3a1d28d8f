"""DeepLabv3 against a recording of RankSeg's head and the published counts."""

import math
from dataclasses import replace

import pytest
import torch
from model_contract import ModelContract

from pantile.contracts.errors import UserError
from pantile.models.cost import count_cost
from pantile.models.deeplabv3 import DeepLabV3, DeepLabV3Config, deeplabv3_nano_config
from rankseg_blocks import Recording
from recorded_heads import IMAGE, RecordedFeatures, loss_over_all_pixels, mmseg_state, pooled_first_to_last

TINY = replace(deeplabv3_nano_config(), channels=16, auxiliary_channels=8, aspp_rates=(1, 2), dropout=0.1)


class TestContract(ModelContract):
    test_compiles_without_a_graph_break = None  # slow; its parts are those of models that are compiled

    def config(self):
        return TINY

    def check_shapes(self, output, num_classes, images):
        size = tuple(math.ceil(side / 8) for side in images.shape[2:])
        assert output.class_logits.shape == (len(images), num_classes, *size)
        assert output.pixel_embed.shape == (len(images), 16, *size)
        assert output.class_embed.shape == (len(images), num_classes, 16)
        for auxiliary in output.auxiliary:
            assert auxiliary.shape == (len(images), num_classes, *size)


def test_head_is_the_originals(real_data):
    recording = Recording(real_data, "aspp_baseline")
    told = recording.told
    x = recording["x0"].requires_grad_()
    backbone = RecordedFeatures({"res5": x}, {"res2": 4, "res3": 8, "res4": 8, "res5": 8})
    first, *rates = told["dilations"]
    assert first == 1  # a 1x1 convolution
    config = DeepLabV3Config(backbone=backbone, aspp_rates=rates, channels=16, auxiliary_channels=0, dropout=0.0)
    model = DeepLabV3(config, told["K"]).double()
    renames = {
        "conv_seg.": "classifier.",
        "image_pool.1.": "aspp.pool.",
        "aspp_modules.0.": "aspp.point.",
        "aspp_modules.1.": "aspp.atrous.0.",
        "aspp_modules.2.": "aspp.atrous.1.",
        "bottleneck.": "aspp.project.",
    }
    state = mmseg_state(recording.state(), renames)
    state["aspp.project.conv.weight"] = pooled_first_to_last(state["aspp.project.conv.weight"], 16)
    model.load_state_dict(state)
    with torch.no_grad():
        assert (model.eval()(IMAGE).class_logits - recording["test_logits"]).abs().max() < 1e-5
    logits = model.train()(IMAGE).class_logits
    assert (logits - recording["train_logits"]).abs().max() < 1e-5
    loss = loss_over_all_pixels(logits, recording["label"])
    assert loss.item() == pytest.approx(told["losses"]["loss_seg"], abs=1e-5)
    loss.backward()
    assert (x.grad - recording["grad_x0"]).abs().max() < 1e-5
    assert (model.classifier.weight.grad - recording["grad_conv_seg.weight"].flatten(1)).abs().max() < 1e-5
    assert float(model.aspp.project.conv.weight.grad.norm()) == pytest.approx(
        told["grad_norm"]["bottleneck.conv.weight"]
    )


def test_published_counts():
    with torch.device("meta"):
        model = DeepLabV3(DeepLabV3Config(), 150)
    assert sum(p.numel() for p in model.parameters()) == 87_206_028
    assert count_cost(model, 512).multiply_adds / 1e9 == pytest.approx(347.64, rel=0.005)


def test_settings_that_cannot_be_are_told():
    with pytest.raises(UserError, match=r"model\.aspp_rates is \(\)"):
        DeepLabV3(replace(TINY, aspp_rates=()), 3)
    with pytest.raises(UserError, match="which only ResNets can have"):
        DeepLabV3(replace(TINY, backbone="convnext_atto"), 3)
