"""Small models for RankSeg with the weights of recordings, and their targets and losses."""

from dataclasses import replace

import torch
from rankseg_weights import LAYER, decoder_head, encoder_head_within, pooling_head
from torch import Tensor, nn

from pantile.contracts.outputs import SemanticSpec
from pantile.contracts.targets import PanopticTargets, collate_targets
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.losses.semantic_criterion import SemanticCriterion, SemanticCriterionConfig
from pantile.models.segmenter import MaskDecoder, SegmenterConfig
from pantile.models.semantic_model import AllClasses, SemanticModel
from pantile.techniques import RankSeg, RankSegConfig, losses_of
from pantile.techniques.ground_truth import ground_truth_shown
from rankseg_blocks import Recording


class SegmenterDecoder(SemanticModel):
    """A Segmenter whose images are the backbone's features.

    Args:
        in_channels: of them.
        num_classes: K.
        config: of the decoder.
    """

    def __init__(self, in_channels: int, num_classes: int, config: SegmenterConfig):
        super().__init__()
        self.config = replace(config, in_channels=in_channels)
        self.decoder = MaskDecoder(in_channels, num_classes, config)
        self.selector = AllClasses(nn.LayerNorm(num_classes))
        self.semantic_spec = SemanticSpec(num_classes, self.decoder.channels, in_channels, 8, refines_classes=True)

    def forward(self, images: Tensor, layer_outputs: bool | None = None):
        return self.decoder(self.refine(images), self)


def taxonomy(num_classes: int):
    return plain_taxonomy([f"class {index}" for index in range(num_classes)], things=[])


def with_technique(model: nn.Module, config: RankSegConfig) -> RankSeg:
    technique = config.make()
    technique.build(model, taxonomy(model.semantic_spec.num_classes))
    technique.attach(model)
    return technique.to(next(model.parameters()).dtype)


def targets_of(label: Tensor, num_classes: int) -> PanopticTargets:
    """Of (B, H, W) class maps; what is outside 0..K-1 is void."""
    ids = torch.where((label >= 0) & (label < num_classes), label + 1, 0)
    every = torch.arange(num_classes)
    none = torch.zeros(num_classes, dtype=torch.bool)
    return collate_targets(list(ids), [every] * len(ids), [none] * len(ids), ["image"] * len(ids), num_classes)


def losses_of_port(num_classes: int) -> SemanticCriterion:
    """The published code's: the mean over all pixels, also those that nobody labelled."""
    return SemanticCriterion(SemanticCriterionConfig(mean_over="all"), num_classes)


def losses_at(model, technique: RankSeg, images: Tensor, targets: PanopticTargets) -> dict[str, Tensor]:
    """Of a training step, with targets of any size."""
    techniques = {"rankseg": technique}
    with ground_truth_shown(techniques.values(), targets):
        output = technique.rewrite(model(images))
    return losses_of(output, techniques, losses_of_port(model.semantic_spec.num_classes), targets)[0]


def decoder_weights(state: dict[str, Tensor], first_block: int, prefix: str = "") -> dict[str, Tensor]:
    """Of a ``SegmenterDecoder`` without its selector: blocks from ``first_block`` on refine pixels and classes."""
    state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    blocks = sorted({int(name.split(".")[1]) for name in state if name.startswith("blocks.")})[first_block:]
    weights = {
        "decoder.class_embed": state["cls_emb"][0],
        "decoder.patch_projection.weight": state["proj_patch"].T,
        "decoder.class_projection.weight": state["proj_classes"].T,
    }
    for kind in ("weight", "bias"):
        weights[f"decoder.input_projection.{kind}"] = state[f"proj_dec.{kind}"]
        weights[f"decoder.norm.{kind}"] = state[f"decoder_norm.{kind}"]
        for new, old in enumerate(blocks):
            for part in LAYER:
                weights[f"decoder.blocks.{new}.{part}.{kind}"] = state[f"blocks.{old}.{part}.{kind}"]
    return weights


def recorded_segmenter(recording: Recording, config: RankSegConfig) -> tuple[SegmenterDecoder, RankSeg]:
    """Head and decoder of a recording, in double precision."""
    told, state = recording.told, recording.state()
    within = "ml_fc.W" in state
    decoder = SegmenterConfig(channels=told["d_model"], num_heads=told["n_heads"], ffn_channels=told["d_ff"], dropout=0)
    model = SegmenterDecoder(told["d_encoder"], told["n_cls"], decoder).double()
    sizes = {"num_heads": told["n_heads"], "ffn_channels": told["d_ff"], "dropout": 0.0}
    technique = with_technique(model, replace(config, **sizes))
    model.load_state_dict(decoder_weights(state, first_block=1 if within else 0))
    if config.has_head:
        of_head = {"encoder": encoder_head_within, "decoder": decoder_head, "pooling": pooling_head}[config.head]
        technique.host.ranking.head.load_state_dict(of_head(state))
    gain, bias = ("weight", "bias") if "mask_norm.weight" in state else ("gamma", "beta")
    technique.host.ranking.norm.load_state_dict(
        {"gain": state[f"mask_norm.{gain}"], "bias": state[f"mask_norm.{bias}"]}
    )
    return model, technique
