"""RankSeg on Segmenter against the numbers of the original code: heads, selection, both losses, gradients."""

import pytest
import torch
import torch.nn.functional as F
from rankseg_models import decoder_weights, losses_at, losses_of_port, recorded_segmenter, targets_of, with_technique
from rankseg_weights import LAYER, encoder_head_within
from timm.models.vision_transformer import VisionTransformer

from pantile.backbones.timm_vit import ViTBackbone
from pantile.contracts.class_channels import channels_of, in_class_order
from pantile.inference.windows import Windows, forward_windows
from pantile.models.segmenter import Segmenter, SegmenterConfig
from pantile.techniques import RankSegConfig
from rankseg_blocks import Recording

POOLED = {"selected": 4, "pooled_grid": 4}
NO_MARGIN = {"gamma_negative": 0.0, **POOLED}
SETTINGS = {
    "head_tranenc": RankSegConfig(**POOLED),
    "head_tranenc_nopool_bce": RankSegConfig(selected=4, pooled_stride=0, loss="cross_entropy"),
    "head_trandec": RankSegConfig(head="decoder", **NO_MARGIN),
    "head_trandec_own_queries": RankSegConfig(head="decoder", channels=32, share_embeddings=False, **NO_MARGIN),
    "head_gap": RankSegConfig(head="pooling", **NO_MARGIN),
    "head_oracle": RankSegConfig(selection="ground_truth", unbiased_variance=True),
}


def close(value, expected, tolerance=1e-6):
    torch.testing.assert_close(value, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", SETTINGS)
def test_outputs_losses_and_gradients(real_data, name):
    recording = Recording(real_data, name)
    told, label = recording.told, recording["label"]
    model, technique = recorded_segmenter(recording, SETTINGS[name])
    feature = recording["x"].requires_grad_()
    targets = targets_of(label, 11)
    losses = losses_at(model, technique, feature, targets)
    assert losses["semantic"].item() == pytest.approx(told["losses"]["loss_seg"], abs=1e-6)
    (by_segmentation,) = torch.autograd.grad(losses["semantic"], feature, retain_graph=True)
    close(by_segmentation, recording["grad_x_seg"])
    if "loss_img" in told["losses"]:
        assert losses["rankseg_presence"].item() == pytest.approx(told["losses"]["loss_img"], abs=1e-6)
        (by_presence,) = torch.autograd.grad(losses["rankseg_presence"], feature, retain_graph=True)
        close(by_presence, recording["grad_x_img"])
    sum(losses.values()).backward()
    close(model.decoder.class_embed.grad, recording["grad_cls_emb"][0], 1e-5)
    close(model.decoder.patch_projection.weight.grad, recording["grad_proj_patch"].T)
    gain, bias = ("gamma", "beta") if name == "head_oracle" else ("weight", "bias")
    close(technique.host.ranking.norm.gain.grad, recording[f"grad_mask_norm.{gain}"])
    close(technique.host.ranking.norm.bias.grad, recording[f"grad_mask_norm.{bias}"])


@pytest.mark.parametrize("name", SETTINGS)
@torch.no_grad()
def test_selection_and_logits(real_data, name):
    recording = Recording(real_data, name)
    model, technique = recorded_segmenter(recording, SETTINGS[name])
    technique.eval(), model.eval()
    technique.show_ground_truth(targets_of(recording["label"], 11))
    output = technique.rewrite(model(recording["x"]))
    assert torch.equal(output.classes, recording["train_topk_index"])
    close(output.class_logits, recording["train_rank_logits"])
    if output.presence_logits is not None:
        close(output.presence_logits, recording["train_ml_logits"].view(1, 11))
    scattered = torch.full((1, 11, 4, 5), -100.0, dtype=torch.float64)
    scattered.scatter_(1, output.classes[..., None, None].expand_as(output.class_logits), output.class_logits)
    close(scattered, recording["test_full_logits"])


@pytest.mark.parametrize("name", ["select_remap", "select_remap_ignore_minus1"])
def test_several_images_with_rankings_of_their_own(real_data, name):
    """Scores and logits are given, so that all that is left is the selection and the two losses."""
    recording = Recording(real_data, name)
    told, label = recording.told, recording["label"]
    scores, logits = recording["scores"].requires_grad_(), recording["rank_logits"].requires_grad_()
    model, technique = recorded_segmenter(Recording(real_data, "head_tranenc"), SETTINGS["head_tranenc"])
    ranking = technique.host.ranking
    ranking.config.selected, ranking.num_classes = told["kappa"], told["K"]
    presence = type("Scores", (), {"logits": scores})
    selected = ranking.select(presence, scores)
    assert torch.equal(selected.classes, recording["topk_index"])
    targets = targets_of(label, told["K"])
    assert torch.equal(targets.classes_present(told["K"]), recording["hist"] > 0)
    ranks = channels_of(targets.semantic(), selected.classes, told["K"])
    assert torch.equal(torch.where(ranks < 0, told["ignore_index"], ranks), recording["rank_label"])

    output = model(recording_feature := torch.zeros(len(scores), 20, 4, 5).double())
    assert len(output.class_logits) == len(recording_feature)
    output = replace_fields(output, logits, selected.classes, scores, told["K"])
    losses = losses_of_port(told["K"])(output, targets).losses | technique.extra_losses(output, targets, None)
    assert losses["semantic"].item() == pytest.approx(told["losses"]["loss_seg"], abs=1e-6)
    assert losses["presence"].item() == pytest.approx(told["losses"]["loss_img"], abs=1e-6)
    sum(losses.values()).backward()
    close(scores.grad, recording["grad_scores"])
    close(logits.grad, recording["grad_rank_logits"])


def replace_fields(output, logits, classes, scores, num_classes):
    return type(output)(logits, output.pixel_embed, output.class_embed, num_classes, classes, scores)


@pytest.fixture
def network(real_data):
    """Recording, model and technique of a whole network."""
    recording = Recording(real_data, "rankseg_net_tranenc")
    cfg = recording.told["cfg"]
    vit = VisionTransformer(
        img_size=64, patch_size=16, embed_dim=cfg["embed"], depth=cfg["layers"], num_heads=cfg["heads"]
    )
    config = SegmenterConfig(
        backbone=ViTBackbone(vit, (64, 64), "bicubic", cfg["vit_norm_eps"]), image_size=(64, 64),
        num_heads=cfg["heads"], dropout=0.0, backbone_drop_path=0.0,
    )  # fmt: skip
    model = Segmenter(config, cfg["K"]).double()
    rank_config = RankSegConfig(selected=cfg["kappa"], pooled_grid=3, num_heads=3, ffn_channels=192, dropout=0.0)
    technique = with_technique(model, rank_config)
    state = recording.state()
    weights = decoder_weights(state, 1, "decode_head.") | vit_weights(state, cfg["layers"])
    model.load_state_dict(weights)
    head = {name.removeprefix("decode_head."): value for name, value in state.items()}
    technique.host.ranking.head.load_state_dict(encoder_head_within(head))
    norm = {"gain": head["mask_norm.weight"], "bias": head["mask_norm.bias"]}
    technique.host.ranking.norm.load_state_dict(norm)
    return recording, model, technique


@pytest.mark.parametrize("flip", [False, True])
@torch.no_grad()
def test_its_windows(network, flip):
    """Each window ranks for itself, also of the mirrored image; classes that none selects have no probability."""
    recording, model, technique = network
    cfg = recording.told["cfg"]
    model.eval(), technique.eval()
    windows = Windows((cfg["crop"], cfg["crop"]), tuple(cfg["stride"]), smaller_images="shrink")
    image = recording["image"].double()[None] / 127.5 - 1
    output = forward_windows(model, image.flip(-1) if flip else image, windows).dense()
    probability = in_class_order(output.class_logits.softmax(dim=1), output.classes, cfg["K"], 0.0)
    close(probability.flip(-1) if flip else probability, recording["slide_prob_flip" if flip else "slide_prob"], 1e-5)


def test_a_whole_network(network):
    recording, model, technique = network
    cfg = recording.told["cfg"]
    image = recording["image"].double()[None] / 127.5 - 1
    crop = image[:, :, :64, :64].clone().requires_grad_()
    losses = losses_at(model, technique, crop, targets_of(recording["label"], cfg["K"]))
    assert losses["semantic"].item() == pytest.approx(recording.told["losses"]["decode.loss_seg"], abs=1e-6)
    assert losses["rankseg_presence"].item() == pytest.approx(recording.told["losses"]["decode.loss_img"], abs=1e-6)
    sum(losses.values()).backward()
    close(crop.grad, recording["grad_image"], 1e-5)
    technique.eval(), model.eval()
    with torch.no_grad():
        output = model(image)
    full = torch.full((1, cfg["K"], *output.class_logits.shape[2:]), -100.0, dtype=torch.float64)
    full.scatter_(1, output.classes[..., None, None].expand_as(output.class_logits), output.class_logits)
    close(F.interpolate(full, size=(70, 100), mode="bilinear"), recording["whole_logits"], 1e-5)


def vit_weights(state, layers):
    """The port's ViT under timm's names."""
    weights = {"cls_token": state["backbone.cls_token"], "pos_embed": state["backbone.pos_embed"]}
    parts = dict(zip(LAYER, ("ln1", "ln2", "attn.attn.in_proj", "attn.attn.out_proj", "ffn.layers.0.0", "ffn.layers.1"),
                     strict=True))  # fmt: skip
    for kind in ("weight", "bias"):
        weights[f"patch_embed.proj.{kind}"] = state[f"backbone.patch_embed.projection.{kind}"]
        weights[f"norm.{kind}"] = state[f"backbone.ln1.{kind}"]
        for layer in range(layers):
            for ours, theirs in parts.items():
                joint = "_" if theirs.endswith("in_proj") else "."
                weights[f"blocks.{layer}.{ours}.{kind}"] = state[f"backbone.layers.{layer}.{theirs}{joint}{kind}"]
    return {f"backbone.model.{name}": value for name, value in weights.items()}
