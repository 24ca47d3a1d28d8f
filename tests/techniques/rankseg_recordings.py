"""RankSeg on Mask2Former as the original recorded it, on images and on clips."""

from dataclasses import replace

import torch
from rankseg_models import taxonomy
from rankseg_weights import encoder_head
from torch import nn

from pantile.contracts.outputs import MaskOutput, MaskSpec
from pantile.contracts.targets import collate_targets
from pantile.losses.set_criterion import weighted_class_loss
from pantile.techniques import RankSegConfig
from rankseg_blocks import Recording


class Spec(nn.Module):
    """Stands for a model of which outputs are given."""

    def __init__(self, told):
        super().__init__()
        self.mask_spec = MaskSpec(2, told["Q"], told["K"], 1, 1, query_channels=told["ml_head"]["d_encoder"])


def recorded(real_data, name):
    """The recording, its technique in double precision, and the output whose tensors want gradients: those of images,
    or of clips, T neighbours each."""
    recording = Recording(real_data, name)
    told = recording.told
    sizes = told["ml_head"]
    config = RankSegConfig(
        selected=told["kappa"], channels=sizes["hidden"], num_heads=sizes["heads"], ffn_channels=sizes["d_ff"],
        dropout=0.0,
    )  # fmt: skip
    technique = config.make()
    technique.build(Spec(told), taxonomy(told["K"]))
    technique.double()
    state = recording.state()
    technique.host.ranking.head.load_state_dict(encoder_head(state, "ml_head."))
    norm = {"gain": state["ml_norm.weight"], "bias": state["ml_norm.bias"]}
    technique.host.ranking.norm.load_state_dict(norm)
    frames = told.get("frames") or 1
    none = torch.zeros(told["B"] * frames, 1, 1, 1, dtype=torch.float64)
    names = ["query_feature2"] + [f"{aux}pred_{kind}" for aux in ("", "aux0_", "aux1_") for kind in ("logits", "masks")]
    given = {key: recording[key].requires_grad_() for key in names}

    def output(prefix):
        logits, masks = (given[f"{prefix}pred_{kind}"] for kind in ("logits", "masks"))
        if frames > 1:
            logits, masks = logits.repeat_interleave(frames, 0), masks.transpose(1, 2).flatten(0, 1)
        return MaskOutput(logits, masks, none[..., 0], none, none, frames=frames)

    middle = given["query_feature2"].transpose(0, 1).repeat_interleave(frames, 0)
    final = replace(output(""), layers=(output("aux0_"), output("aux1_")), middle_queries=middle)
    return recording, technique, final, given


def targets_of(recording):
    """Masks that overlap, as the recorded ones do, have no map of ids: what is tested here reads classes alone."""
    maps, classes, frames = [], [], recording.told.get("frames") or 1
    for image in range(recording.told["B"]):
        labels = recording[f"gt_labels{image}"]
        ids = torch.zeros(recording.told["image"], dtype=torch.int64)
        ids.view(-1)[: len(labels)] = torch.arange(1, len(labels) + 1)
        for _ in range(frames):
            maps.append(ids), classes.append(labels)
    none = [torch.zeros(len(c), dtype=torch.bool) for c in classes]
    return collate_targets(maps, classes, none, [f"frame {n}" for n in range(len(maps))], frames=frames)


def class_loss(output, classes, targets, pairs):
    """The criterion's class term with the recorded matches, whose targets are those that stay, in their order."""
    matching = torch.full_like(targets.classes, -1)
    for image, (queries, rows) in enumerate(pair for pair in pairs for _ in range(targets.frames)):
        kept = (classes[image] >= 0).nonzero()[:, 0]
        matching[image, kept[torch.tensor(rows, dtype=torch.int64)]] = torch.tensor(queries, dtype=torch.int64)
    return weighted_class_loss(output.class_logits, classes, matching, 0.1)
