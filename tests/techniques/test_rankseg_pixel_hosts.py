"""RankSeg on DeepLabv3 and UPerNet against the numbers of the original code, in double precision."""

import pytest
import torch
from rankseg_models import losses_at, targets_of, with_technique
from rankseg_weights import encoder_head

from pantile.models.deeplabv3 import DeepLabV3, DeepLabV3Config
from pantile.models.upernet import UPerNet, UPerNetConfig
from pantile.techniques import RankSegConfig
from rankseg_blocks import Recording
from recorded_heads import IMAGE, NAMES, RecordedFeatures, mmseg_state, pooled_first_to_last

DEEPLAB = {
    "image_pool.1.": "aspp.pool.",
    "aspp_modules.0.": "aspp.point.",
    "aspp_modules.1.": "aspp.atrous.0.",
    "aspp_modules.2.": "aspp.atrous.1.",
    "bottleneck.": "aspp.project.",
}
UPERNET = {
    **{f"psp_modules.{index}.1.": f"top.scales.{index}." for index in range(3)},
    "bottleneck.": "top.project.",
    "lateral_convs.": "laterals.",
    "fpn_convs.": "outputs.",
    "fpn_bottleneck.": "fuse.",
}


def deeplabv3(told, maps):
    backbone = RecordedFeatures({"res5": maps["res5"]}, dict.fromkeys(NAMES, 8))
    rates = tuple(told["dilations"][1:])
    config = DeepLabV3Config(backbone=backbone, aspp_rates=rates, channels=16, auxiliary_channels=0, dropout=0.0)
    return DeepLabV3(config, told["K"])


def upernet(told, maps):
    backbone = RecordedFeatures(maps, {"res2": 4, "res3": 8, "res4": 16, "res5": 32})
    config = UPerNetConfig(
        backbone=backbone, channels=16, pool_scales=tuple(told["pool_scales"]), auxiliary_channels=0, dropout=0.0
    )
    return UPerNet(config, told["K"])


def model_state(state, renames):
    """The class vectors of the head are a linear layer here."""
    theirs = {name: tensor for name, tensor in state.items() if name.startswith(tuple(renames))}
    ours = mmseg_state(theirs, renames)
    if "aspp.project.conv.weight" in ours:
        ours["aspp.project.conv.weight"] = pooled_first_to_last(ours["aspp.project.conv.weight"], 16)
    return ours | {"classifier.weight": state["cls_emb"][0], "classifier.bias": state["cls_bias_emb"][0]}


@pytest.mark.parametrize("name", ["aspp_rankseg", "uper_rankseg"])
@pytest.mark.parametrize("shared", [True, False])
def test_outputs_losses_and_gradients(real_data, name, shared):
    recording = Recording(real_data, name if shared else f"{name}_own_embedding")
    told, state = recording.told, recording.state()
    inputs = ["x0"] if name == "aspp_rankseg" else ["x0", "x1", "x2", "x3"]
    maps = dict(zip(NAMES[-len(inputs) :], [recording[x].requires_grad_() for x in inputs], strict=True))
    build, renames = (deeplabv3, DEEPLAB) if name == "aspp_rankseg" else (upernet, UPERNET)
    model = build(told, maps).double()
    pooled = told["head"]["downsample"] or 0
    config = RankSegConfig(
        weight=told["img_loss_weight"], selected=told["kappa"], channels=16, num_heads=4, ffn_channels=32, dropout=0.0,
        pooled_stride=0, pooled_grid=pooled, share_embeddings=shared,
    )  # fmt: skip
    technique = with_technique(model, config)
    model.load_state_dict(model_state(state, renames))
    ranking = technique.host.ranking
    ranking.head.load_state_dict(encoder_head(state, "img_cls_head.", separable=True))
    ranking.norm.load_state_dict({"gain": state["norm.weight"], "bias": state["norm.bias"]})

    model.eval(), technique.eval()
    with torch.no_grad():
        output = model(IMAGE)
    full = torch.full_like(recording["test_logits"], -100.0)
    full.scatter_(1, output.classes[..., None, None].expand_as(output.class_logits), output.class_logits)
    torch.testing.assert_close(full, recording["test_logits"], rtol=0, atol=1e-6)

    model.train(), technique.train()
    output = model(IMAGE)
    assert torch.equal(output.classes, recording["train_topk_index"])
    torch.testing.assert_close(output.presence_logits, recording["train_ml_logits"], rtol=0, atol=1e-6)
    torch.testing.assert_close(output.class_logits, recording["train_rank_logits"], rtol=0, atol=1e-6)
    losses = losses_at(model, technique, IMAGE, targets_of(recording["label"], told["K"]))
    assert losses["semantic"].item() == pytest.approx(told["losses"]["loss_seg"], abs=1e-6)
    assert losses["rankseg_presence"].item() == pytest.approx(told["losses"]["loss_img"], abs=1e-6)
    sum(losses.values()).backward()
    for name_of_map, tensor in zip(inputs, maps.values(), strict=True):
        torch.testing.assert_close(tensor.grad, recording[f"grad_{name_of_map}"], rtol=0, atol=1e-5)
    for tensor, theirs in (
        (model.classifier.weight, recording["grad_cls_emb"][0]),
        (model.classifier.bias, recording["grad_cls_bias_emb"][0]),
        (ranking.norm.gain, recording["grad_norm.weight"]),
        (ranking.norm.bias, recording["grad_norm.bias"]),
    ):
        torch.testing.assert_close(tensor.grad, theirs, rtol=0, atol=1e-5)
