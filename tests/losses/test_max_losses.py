"""MaX-DeepLab's losses and gradients against recordings of the original."""

import numpy as np
import pytest
import torch

from max_recordings import recording
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.targets import PanopticTargets
from pantile.losses import KMaXCriterion, KMaXCriterionConfig

#: the cases with crowd are left out: there it is neither void nor a segment, here it is void
CASES = ("coco", "coco_many_ids", "all_void", "cityscapes_top20")
TERMS = {
    "class": ("pq_style_loss_class_term", "class_logits"),
    "mask": ("pq_style_loss_mask_dice_term", "mask_logits"),
    "mask_id": ("mask_id_cross_entropy_loss", "mask_logits"),
    "instance": ("instance_discrimination_loss", "feature"),
    "semantic": ("semantic_loss", "semantic_logits"),
}
WEIGHTLESS = {f"{name}_weight": 1.0 for name in TERMS}


def targets_of(case):
    """Thing ids and stuff classes as ids 1, 2, ... of a map; crowd and void as 0."""
    things, stuff = case["meta|thing_class_ids"].tolist(), case["meta|stuff_class_ids"].tolist()
    semantic, mask = case["input|semantic"], case["input|thing_id_mask"]
    maps, labels = np.zeros_like(semantic), []
    for image, classes in enumerate(case["input|thing_id_class"]):
        rows = []
        for thing_id, semantic_id in enumerate(classes.tolist()):
            if semantic_id >= 0:
                maps[image][mask[image] == thing_id] = len(rows) + 1
                rows.append(things.index(semantic_id))
        for i, semantic_id in enumerate(stuff):
            where = semantic[image] == semantic_id
            if where.any():
                maps[image][where] = len(rows) + 1
                rows.append(len(things) + i)
        labels.append(rows)
    most = max(map(len, labels))
    table = torch.tensor([rows + [-1] * (most - len(rows)) for rows in labels])
    crowd = torch.zeros_like(table, dtype=torch.bool)
    return PanopticTargets(torch.from_numpy(maps), table, crowd, ("a", "b")), len(things), len(stuff)


def semantic_channels(case, things, stuff):
    """Our order (things, stuff, rest) in theirs."""
    wanted = [*case["meta|thing_class_ids"].tolist(), *case["meta|stuff_class_ids"].tolist()]
    return wanted + [i for i in range(int(case["meta|num_classes"])) if i not in wanted]


@pytest.mark.parametrize("name", CASES)
def test_terms_and_gradients(name):
    data = recording("losses")
    case = {k.partition("|")[2]: v for k, v in data.items() if k.startswith(f"{name}|")}
    targets, things, stuff = targets_of(case)
    inputs = {
        n: torch.from_numpy(case[f"input|{n}"]).requires_grad_()
        for n in ("feature", "mask_logits", "class_logits", "semantic_logits")
    }
    channels = semantic_channels(case, things, stuff)
    embed = inputs["feature"].permute(0, 3, 1, 2)
    output = MaskOutput(
        class_logits=inputs["class_logits"],
        mask_logits=inputs["mask_logits"].permute(0, 3, 1, 2),
        query_embed=torch.zeros(2, inputs["class_logits"].shape[1], 8),
        pixel_embed=embed,
        pixel_feature=embed,
        semantic_logits=inputs["semantic_logits"].permute(0, 3, 1, 2)[:, channels],
    )
    weight = case["input|semantic_weight"]
    config = KMaXCriterionConfig(
        **WEIGHTLESS,
        instance_loss="mask_mean",
        semantic_pixels="plain",
        semantic_hardest=float(case["meta|semantic_top_k"]),
        small_thing_weight=float(weight.max()),
        small_thing_area=int((weight > 1).sum()) + 20,
    )
    losses = KMaXCriterion(config, [True] * things + [False] * stuff)(output, targets).losses
    for ours, (theirs, prediction) in TERMS.items():
        expected = case[f"loss|{theirs}"].mean()
        np.testing.assert_allclose(losses[ours].item(), expected, rtol=2e-5, atol=1e-6, err_msg=theirs)
        (grad,) = torch.autograd.grad(losses[ours], inputs[prediction], retain_graph=True)
        recorded = case[f"grad|{theirs}|{prediction}"] / 2  # of the sum over two images
        np.testing.assert_allclose(
            grad.numpy(), recorded, rtol=1e-3, atol=1e-4 * np.abs(recorded).max() + 1e-9, err_msg=theirs
        )
