"""The transformer decoders of the original Mask2Former and RankSeg, recorded on given maps, as models of ours."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from pantile.layers.position_encoding import sine_positions
from pantile.models import create_model
from pantile.models.mask2former_pixel_decoder import DecodedPixels


def decoder_model(recording, nano):
    """A model in double precision whose pixel decoder gives the recorded maps.

    Args:
        nano: the config of the architecture, whose sizes become the recorded ones.
    """
    cfg = recording.told["cfg"]
    config = replace(
        nano, channels=cfg["hidden_dim"], num_queries=cfg["num_queries"], num_heads=cfg["nheads"],
        decoder_ffn_channels=cfg["dim_feedforward"], decoder_layers=cfg["dec_layers"], embed_channels=cfg["mask_dim"],
        cosine_classes=recording.told["cosine_class_head"], encoder_layers=1,
    )  # fmt: skip
    model = create_model(config, cfg["num_classes"])
    model.backbone = Identity()
    model.pixel_decoder = FixedPixels(recording.told["in_channels"], cfg["hidden_dim"])
    model = model.double()
    model.load_state_dict(decoder_state(recording.state()))
    model.pixel_decoder.inputs = {
        name: recording[name].requires_grad_() for name in ("x0", "x1", "x2", "mask_features")
    }
    return model.train(recording.told["train_mode"])


def loss_of(recording, class_logits, mask_logits):
    """The scalar of which gradients were recorded, of tensors in the original's shapes."""
    draws = (np.random.RandomState(recording.told["seed"] + 20 + index) for index in range(2))
    g1, g2 = (
        torch.from_numpy(draw.standard_normal(tensor.shape).astype(np.float32)).double()
        for draw, tensor in zip(draws, (class_logits, mask_logits), strict=True)
    )
    return (class_logits * g1).sum() + (mask_logits * g2).sum() / 100


class Identity(nn.Module):
    def forward(self, images):
        return dict.fromkeys(("res2", "res3", "res4", "res5"), images)


class FixedPixels(nn.Module):
    """Given maps in place of a pixel decoder, projected as the original's decoder does."""

    def __init__(self, in_channels, channels):
        super().__init__()
        made = (lambda: nn.Conv2d(in_channels, channels, 1)) if in_channels != channels else nn.Identity
        self.project = nn.ModuleList(made() for _ in range(3))
        self.channels = channels

    def forward(self, features):
        maps = [self.inputs[f"x{level}"] for level in range(3)]
        sizes = [tuple(level.shape[2:]) for level in maps]
        memory = [project(level).flatten(2).transpose(1, 2) for project, level in zip(self.project, maps, strict=True)]
        positions = [sine_positions((size,), self.channels, torch.device("cpu")).double() for size in sizes]
        embed = self.inputs["mask_features"]
        return DecodedPixels(memory=memory, positions=positions, sizes=sizes, embed=embed, feature=embed)


def decoder_state(state):
    """The original transformer decoder under our names."""
    ours = {
        "query_content": state["query_feat.weight"],
        "query_position": state["query_embed.weight"],
        "level_embed": state["level_embed.weight"],
    }
    layers = sum(name.endswith("linear1.weight") for name in state)
    for kind in ("weight", "bias"):
        ours[f"query_norm.{kind}"] = state[f"decoder_norm.{kind}"]
        if f"class_embed.{kind}" in state:
            ours[f"classifier.{kind}"] = state[f"class_embed.{kind}"]
        for level in range(3):
            if f"input_proj.{level}.{kind}" in state:
                ours[f"pixel_decoder.project.{level}.{kind}"] = state[f"input_proj.{level}.{kind}"]
            ours[f"mask_embed.{2 * level}.{kind}"] = state[f"mask_embed.layers.{level}.{kind}"]
        for layer in range(layers):
            for part, attention in (("self", "self_attn"), ("cross", "multihead_attn")):
                theirs = f"transformer_{part}_attention_layers.{layer}"
                new = f"layers.{layer}.{part}_attention"
                projections = state[f"{theirs}.{attention}.in_proj_{kind}"].chunk(3)
                for name, value in zip(("query", "key", "value"), projections, strict=True):
                    ours[f"{new}.{name}.{kind}"] = value
                ours[f"{new}.out.{kind}"] = state[f"{theirs}.{attention}.out_proj.{kind}"]
                ours[f"layers.{layer}.{part}_norm.{kind}"] = state[f"{theirs}.norm.{kind}"]
            theirs = f"transformer_ffn_layers.{layer}"
            ours[f"layers.{layer}.ffn.0.{kind}"] = state[f"{theirs}.linear1.{kind}"]
            ours[f"layers.{layer}.ffn.3.{kind}"] = state[f"{theirs}.linear2.{kind}"]
            ours[f"layers.{layer}.ffn_norm.{kind}"] = state[f"{theirs}.norm.{kind}"]
    return ours
