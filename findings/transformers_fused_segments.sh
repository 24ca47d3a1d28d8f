#!/usr/bin/env bash
# One would guess that post_process_panoptic_segmentation gives a table with a row per segment, and one segment of each
# stuff class. Without label_ids_to_fuse nothing is fused, whatever the model was trained on: every query of sky is a
# segment of its own, and PQ counts all but one as wrong. With it, pixels are fused and the rows are not: the table
# names the same id several times, each with the score of one query, which panopticapi and COCO-panoptic files do not
# allow. An image without any segment gives a float32 map of -1, any other one int32.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.15.0 torchvision==0.29.2 transformers==5.23.0 pillow==13.0.0 scipy
"$work/venv/bin/python" -W ignore - 2>/dev/null <<'PYTHON'
from types import SimpleNamespace

import torch
import transformers
from transformers import Mask2FormerImageProcessor

CAR, SKY, NO_OBJECT = 0, 1, 2


def output(classes):
    """Three queries side by side in an image of 8x8."""
    class_logits, mask_logits = torch.full((1, 3, 3), -9.0), torch.full((1, 3, 8, 8), -9.0)
    for query, (label, columns) in enumerate(zip(classes, (slice(0, 3), slice(3, 6), slice(6, 8)))):
        class_logits[0, query, label] = 9
        mask_logits[0, query, :, columns] = 9
    return SimpleNamespace(class_queries_logits=class_logits, masks_queries_logits=mask_logits)


def segments(classes, **options):
    result = Mask2FormerImageProcessor().post_process_panoptic_segmentation(
        output(classes), target_sizes=[(8, 8)], **options
    )[0]
    rows = [(row["id"], row["label_id"]) for row in result["segments_info"]]
    ids = result["segmentation"]
    print("  rows (id, class):", rows, " ids in the map:", ids.unique().tolist(), ids.dtype)
    return rows, ids


print(f"transformers {transformers.__version__}: two queries of sky (1), one of a car (0)")
plain, _ = segments([SKY, SKY, CAR])
print("with label_ids_to_fuse={1}")
fused, ids = segments([SKY, SKY, CAR], label_ids_to_fuse={SKY})
print("three queries of no object")
none, empty = segments([NO_OBJECT] * 3)
assert plain == [(1, SKY), (2, SKY), (3, CAR)], f"this changed: {plain}"
assert fused == [(1, SKY), (1, SKY), (2, CAR)] and ids.unique().tolist() == [1, 2], f"this changed: {fused}"
assert none == [] and empty.dtype == torch.float32 and ids.dtype == torch.int32, "this changed"
PYTHON
