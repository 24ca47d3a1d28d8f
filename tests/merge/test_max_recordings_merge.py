"""Both merges against recordings of deeplab2's."""

import numpy as np
import pytest
import torch

from max_recordings import recording
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.merge import MaskMergeConfig, merge

CASES = ("coco", "cityscapes", "coco_area", "cityscapes_area", "same_size", "ties", "area_equal_kept", "area_one_more")
CASES += ("no_survivor", "all_void", "thresholds_zero", "maskwise")


def pixel_wise(case):
    threshold = float(case["meta|class_threshold"])
    return {"kind": "pixel_wise", "thing_class_threshold": threshold, "stuff_class_threshold": threshold}


def mask_wise(case):
    settings = {
        "overlap": "overlapping_threshold",
        "class_exponent": "reorder_class_weight",
        "mask_exponent": "reorder_mask_weight",
    }
    settings |= {f"{k}_class_threshold": f"transformer_class_confidence_threshold_{k}" for k in ("thing", "stuff")}
    return {"kind": "mask_wise"} | {ours: float(case[f"meta|maskwise_{theirs}"]) for ours, theirs in settings.items()}


@pytest.mark.parametrize("name", CASES)
def test_same_segments(name):
    case = {k.partition("|")[2]: v for k, v in recording("pixelwise_merge").items() if k.startswith(f"{name}|")}
    things = case["meta|thing_class_ids"].tolist()
    divisor, void = int(case["meta|label_divisor"]), int(case["meta|void_label"])
    classes = case["input|class_logits"].shape[2] - 1
    first = 1 if void == 0 else 0  # data sets whose class 0 is void
    order = things + [c for c in range(first, first + classes) if c not in things]  # of the class logits
    names = [str(c) for c in order]
    taxonomy = plain_taxonomy(names, things=[str(c) for c in things])
    mask_logits = torch.from_numpy(case["input|mask_logits"]).permute(0, 3, 1, 2)
    class_logits = torch.from_numpy(case["input|class_logits"])
    output = MaskOutput(class_logits, mask_logits, class_logits[:, :, :1], mask_logits[:, :1], mask_logits[:, :1])
    config = MaskMergeConfig(
        pixel_confidence=float(case["meta|pixel_threshold"]),
        **(mask_wise(case) if case["meta|maskwise"] else pixel_wise(case)),
        strict=False,
        resize_order="ids_last",
        thing_area_limit=int(case["meta|thing_area_limit"]),
        stuff_area_limit=int(case["meta|stuff_area_limit"]),
    )
    size = tuple(case["meta|image_shape"].tolist())
    predictions = merge(output, taxonomy, config, [Placement(size, size, size)] * len(mask_logits))
    for prediction, expected in zip(predictions, case["output|panoptic"], strict=True):
        ours = np.zeros(size, np.int64)
        theirs_of = {}
        for segment in prediction.panoptic.segments:
            where = prediction.panoptic.ids == segment.id
            values = np.unique(expected[where])
            assert len(values) == 1, "one segment there"
            assert values[0] // divisor == order[segment.class_index]
            theirs_of[segment.id] = values[0]
            ours[where] = values[0]
        assert len(set(theirs_of.values())) == len(theirs_of)
        np.testing.assert_array_equal(np.where(prediction.panoptic.ids == 0, void * divisor, ours), expected)
