"""MaX-DeepLab's losses and gradients against recordings of the original."""

import numpy as np
import pytest
import torch

from max_recordings import recording
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.targets import PanopticTargets
from pantile.losses import KMaXCriterion, KMaXCriterionConfig
from pantile.losses.instance_discrimination import pixel_contrastive_loss

TERMS = {
    "class": ("pq_style_loss_class_term", "class_logits"),
    "mask": ("pq_style_loss_mask_dice_term", "mask_logits"),
    "mask_id": ("mask_id_cross_entropy_loss", "mask_logits"),
    "instance": ("instance_discrimination_loss", "feature"),
    "semantic": ("semantic_loss", "semantic_logits"),
}
WEIGHTLESS = {f"{name}_weight": 1.0 for name in TERMS}
ALL, WITHOUT_MASKS = tuple(TERMS), ("instance", "semantic")
EXCEPT_INSTANCE = tuple(name for name in TERMS if name != "instance")

#: what is compared of both images. Crowd is neither void nor a segment there and void here, which changes the terms of
#: the image that has some. Where masks outnumber slots, those without a slot write into slot 0 there. Instances of the
#: last two are compared below.
COMPARED = {
    "coco": (ALL, ALL),
    "coco_many_ids": (ALL, ALL),
    "all_void": (ALL, ALL),
    "cityscapes_top20": (ALL, ALL),
    "coco_crowd": (("instance",), ALL),
    "fewer_slots_than_masks": (WITHOUT_MASKS, ALL),
    "coco_pixel_contrastive": (EXCEPT_INSTANCE, EXCEPT_INSTANCE),
    "coco_crowd_pixel_contrastive": ((), EXCEPT_INSTANCE),
}


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


def recorded_case(name):
    return {k.partition("|")[2]: v for k, v in recording("losses").items() if k.startswith(f"{name}|")}


def agrees(value, grad, case, term, image):
    """Of one image, whose recorded gradient is that of its own loss."""
    theirs, prediction = TERMS[term]
    np.testing.assert_allclose(value.item(), case[f"loss|{theirs}"][image], rtol=2e-5, atol=1e-6, err_msg=theirs)
    recorded = case[f"grad|{theirs}|{prediction}"][image]
    np.testing.assert_allclose(
        grad.numpy(), recorded, rtol=1e-3, atol=1e-4 * np.abs(recorded).max() + 1e-9, err_msg=theirs
    )


@pytest.mark.parametrize(
    ("name", "image"), [(name, i) for name, images in COMPARED.items() for i in range(2) if images[i]]
)
def test_terms_and_gradients(name, image):
    case = recorded_case(name)
    targets, things, stuff = targets_of(case)
    one = slice(image, image + 1)
    targets = PanopticTargets(targets.ids[one], targets.classes[one], targets.crowd[one], ("a",))
    inputs = {
        n: torch.from_numpy(case[f"input|{n}"][one]).requires_grad_()
        for n in ("feature", "mask_logits", "class_logits", "semantic_logits")
    }
    channels = semantic_channels(case, things, stuff)
    embed = inputs["feature"].permute(0, 3, 1, 2)
    output = MaskOutput(
        class_logits=inputs["class_logits"],
        mask_logits=inputs["mask_logits"].permute(0, 3, 1, 2),
        query_embed=torch.zeros(1, inputs["class_logits"].shape[1], 8),
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
    result = KMaXCriterion(config, [True] * things + [False] * stuff)(output, targets)
    for term in COMPARED[name][image]:
        (grad,) = torch.autograd.grad(result.losses[term], inputs[TERMS[term][1]], retain_graph=True)
        agrees(result.losses[term], grad[0], case, term, image)
    assert result.counts["dropped_segments"] == (name == "fewer_slots_than_masks" and image == 0)


@pytest.mark.parametrize("name", ["coco_pixel_contrastive", "coco_crowd_pixel_contrastive"])
@pytest.mark.parametrize("image", [0, 1])
def test_pixel_contrastive(name, image):
    """There pixels without a mask are compared with, here they are not. As segments of a pixel each they are, and what
    their own rows add is taken away by the plain equation."""
    case = recorded_case(name)
    targets, *_ = targets_of(case)
    index = targets.masks_at((9, 11)).index[image].flatten()
    unlabelled = index < 0
    segments = torch.where(unlabelled, 100 + torch.arange(99), index)
    features = torch.from_numpy(case["input|feature"][image]).requires_grad_()
    flat = features.flatten(0, 1)
    products = flat @ flat.T / 0.3
    own = (products.logsumexp(1) - products.diagonal())[unlabelled].sum()
    loss = (99 * pixel_contrastive_loss(flat[None], segments[None], 199)[0] - own) / (~unlabelled).sum()
    fault = products.logsumexp(1)[unlabelled].sum() / (~unlabelled).sum()
    (grad,) = torch.autograd.grad(loss + fault, features)
    agrees(loss, grad, case, "instance", image)
