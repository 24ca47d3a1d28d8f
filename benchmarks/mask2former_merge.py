"""Merging of queries with independent masks against the original's rule and transformers' post-processing.

Claim: at 480 x 640 with 100 queries of which 15 are kept, the panoptic map takes at most half the time of
transformers' ``post_process_panoptic_segmentation`` and gives the map of the original's rule.

    python benchmarks/mask2former_merge.py

The original's rule, in its plain form, resizes the masks of all queries twice and goes through the kept ones one by
one. transformers resizes all masks to 384 x 384 and follows another rule, so its map is not compared. Times are medians
of alternating runs in one process, with one thread by default.
"""

import argparse
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F

from claims import Claims
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import Taxonomy, plain_taxonomy
from pantile.merge.query_argmax import predict_queries
from pantile.merge.query_config import mask2former
from turns import alternating_medians

QUERIES, KEPT = 100, 15
CASES = {
    "480x640": Placement((480, 640), (480, 640), (480, 640)),
    "800x1088 to 480x640": Placement((800, 1088), (800, 1066), (480, 640)),
}


def taxonomy() -> Taxonomy:
    names = [f"class {k}" for k in range(133)]
    return plain_taxonomy(names, things=names[:80])


def confident_output(placement: Placement) -> MaskOutput:
    """15 queries tile the image in irregular regions, the others are no-object."""
    random = torch.Generator().manual_seed(0)
    height, width = (n // 4 for n in placement.padded)
    centres = torch.rand(KEPT, 2, generator=random) * torch.tensor([float(height), float(width)])
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = ((rows - centres[:, :1, None]) ** 2 + (columns - centres[:, 1:, None]) ** 2).sqrt()
    mask_logits = 0.5 * torch.randn(1, QUERIES, height, width, generator=random) - 6
    nearest = distance.amin(dim=0)
    mask_logits[0, :KEPT] += 8.0 - 240.0 * (distance - nearest) / max(height, width)
    class_logits = torch.randn(1, QUERIES, 134, generator=random)
    label = torch.randint(0, 133, (KEPT, 1), generator=random)
    class_logits[0, :KEPT].scatter_add_(1, label, torch.full((KEPT, 1), 12.0))
    class_logits[0, KEPT:, -1] += 12.0
    unused = torch.zeros(1, 1, 1, 1)
    return MaskOutput(class_logits, mask_logits, unused[0], unused, unused)


def plain_merge(output: MaskOutput, classes: Taxonomy, placement: Placement) -> tuple[np.ndarray, int]:
    """The original's rule as it is written down."""
    config = mask2former()
    padded = F.interpolate(output.mask_logits, placement.padded, mode="bilinear", align_corners=False)
    content = padded[:, :, : placement.content[0], : placement.content[1]]
    masks = F.interpolate(content, placement.original, mode="bilinear", align_corners=False)[0].sigmoid()
    scores, labels = output.class_logits[0].softmax(-1).max(-1)
    keep = (labels != len(classes)) & (scores > config.object_threshold)
    scores, labels, masks = scores[keep], labels[keep], masks[keep]
    ids = torch.zeros(placement.original, dtype=torch.int32)
    owner = (scores[:, None, None] * masks).argmax(0)
    segments, stuff = 0, {}
    for candidate, label in enumerate(labels.tolist()):
        won, mask = owner == candidate, masks[candidate] >= 0.5
        region = won & mask
        areas = [x.sum().item() for x in (won, mask, region)]
        if 0 in areas or areas[0] / areas[1] < config.overlap_threshold:
            continue
        if label in stuff:
            ids[region] = stuff[label]
            continue
        segments += 1
        ids[region] = segments
        if not classes.classes[label].is_thing:
            stuff[label] = segments
    return ids.numpy(), segments


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    from transformers import Mask2FormerImageProcessor

    processor, classes = Mask2FormerImageProcessor(), taxonomy()
    claims = Claims()
    for name, placement in CASES.items():
        output = confident_output(placement)
        foreign = SimpleNamespace(class_queries_logits=output.class_logits, masks_queries_logits=output.mask_logits)
        ours = predict_queries(output, classes, mask2former(), [placement])[0].panoptic
        plain_ids, plain_segments = plain_merge(output, classes, placement)
        differing = int((ours.ids != plain_ids).sum())
        print(f"\n{name}: {len(ours.segments)} segments, plain {plain_segments}; {differing} pixels of them differ")
        seconds = alternating_medians(
            {
                "panoptic": lambda o=output, p=placement: predict_queries(o, classes, mask2former(), [p]),
                "the original's rule": lambda o=output, p=placement: plain_merge(o, classes, p),
                "transformers": lambda f=foreign, p=placement: processor.post_process_panoptic_segmentation(
                    f,
                    threshold=0.8,
                    overlap_mask_area_threshold=0.8,
                    label_ids_to_fuse=set(classes.stuff_indices),
                    target_sizes=[p.original],
                ),
                "panoptic + instance": lambda o=output, p=placement: predict_queries(
                    o, classes, mask2former(), [p], frozenset({"panoptic", "instance"})
                ),
                "panoptic + semantic": lambda o=output, p=placement: predict_queries(
                    o, classes, mask2former(), [p], frozenset({"panoptic", "semantic"})
                ),
            },
            arguments.repeats,
        )
        for what, value in seconds.items():
            print(f"{what:20s} {1000 * value:8.1f} ms   {value / seconds['transformers']:.3f} of transformers")
        claims.at_most(f"{name}: panoptic / transformers", seconds["panoptic"] / seconds["transformers"], 0.5)
    claims.finish()


if __name__ == "__main__":
    main()
