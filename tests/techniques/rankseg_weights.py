"""Weights of the original RankSeg heads under the names that they have here."""

from collections.abc import Mapping

from torch import Tensor

LAYER = ("norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")


def encoder_head(state: Mapping[str, Tensor], prefix: str = "", separable: bool = False) -> dict[str, Tensor]:
    """Of a stand-alone encoder head whose names start with ``prefix``."""
    state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    weights = {"classifier.weight": state["fc.W"][0], "classifier.bias": state["fc.b"][0]}
    if "cls_emb" in state:
        weights["class_embed"] = state["cls_emb"][0]
    for kind in ("weight", "bias"):
        weights[f"norm.{kind}"] = state[f"norm.{kind}"]
        if separable:
            weights[f"projection.0.{kind}"] = state[f"proj_dec.depthwise_conv.conv.{kind}"]
            weights[f"projection.2.{kind}"] = state[f"proj_dec.pointwise_conv.conv.{kind}"]
        else:
            weights[f"projection.{kind}"] = state[f"proj_dec.{kind}"]
        weights |= {f"layer.{part}.{kind}": state[f"block.{part}.{kind}"] for part in LAYER}
    return weights


def encoder_head_within(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of the encoder head that is part of a Segmenter: block 0 and what follows it."""
    weights = {"classifier.weight": state["ml_fc.W"][0], "classifier.bias": state["ml_fc.b"][0]}
    for kind in ("weight", "bias"):
        weights[f"norm.{kind}"] = state[f"decoder_norm2.{kind}"]
        weights |= {f"layer.{part}.{kind}": state[f"blocks.0.{part}.{kind}"] for part in LAYER}
    return weights


def decoder_head(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of the 2x TranDec head of a Segmenter."""
    state = {name.removeprefix("img_cls_head."): value for name, value in state.items()}
    weights = {"classifier.weight": state["fc.W"][0], "classifier.bias": state["fc.b"][0]}
    if "query_embed.weight" in state:
        weights["class_embed"] = state["query_embed.weight"]
    for kind in ("weight", "bias"):
        weights[f"projection.{kind}"] = state[f"input_proj.{kind}"]
        weights[f"norm.{kind}"] = state[f"transformer.decoder.norm.{kind}"]
        for index in range(2):
            old, new = f"transformer.decoder.layers.{index}", f"layers.{index}"
            projections = state[f"{old}.multihead_attn.in_proj_{kind}"].chunk(3)
            for name, value in zip(("query", "key", "value"), projections, strict=True):
                weights[f"{new}.attention.{name}.{kind}"] = value
            weights[f"{new}.attention.out.{kind}"] = state[f"{old}.multihead_attn.out_proj.{kind}"]
            weights[f"{new}.ffn.0.{kind}"] = state[f"{old}.linear1.{kind}"]
            weights[f"{new}.ffn.3.{kind}"] = state[f"{old}.linear2.{kind}"]
            weights[f"{new}.attention_norm.{kind}"] = state[f"{old}.norm2.{kind}"]
            weights[f"{new}.ffn_norm.{kind}"] = state[f"{old}.norm3.{kind}"]
    return weights


def pooling_head(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of the GAP head of a Segmenter."""
    weights = {}
    for kind in ("weight", "bias"):
        weights[f"hidden.{kind}"] = state[f"img_cls_head.1.conv.{kind}"].squeeze()
        weights[f"classifier.{kind}"] = state[f"img_cls_head.2.{kind}"].squeeze()
    return weights
