"""What an output says of the presence of classes reaches its predictions, and the metrics of an evaluation."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.placement import Placement
from pantile.contracts.predictions import Prediction
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.meters import Meters
from pantile.merge import MaskMergeConfig
from pantile.merge.merging import merge
from pantile.merge.stitching import TilePrediction, stitch
from pantile.merge.tile_layout import lay_windows

TAXONOMY = plain_taxonomy(["cat", "sky", "road"], things=["cat"])
PLACEMENT = Placement(padded=(4, 4), content=(4, 4), original=(4, 4))


@dataclass(frozen=True)
class _Telling(MaskOutput):
    presence_logits: Tensor | None = None
    classes: Tensor | None = None


def predictions(**fields: Tensor) -> list:
    sizes = {"class_logits": (2, 3, 4), "mask_logits": (2, 3, 4, 4), "query_embed": (2, 3, 5)}
    sizes |= {"pixel_embed": (2, 5, 4, 4), "pixel_feature": (2, 5, 4, 4)}
    output = _Telling(**{name: torch.zeros(size) for name, size in sizes.items()}, **fields)
    return merge(output, TAXONOMY, MaskMergeConfig(), [PLACEMENT, PLACEMENT])


def test_presence_and_selection_travel_with_each_image() -> None:
    presence = torch.tensor([[3.0, -1.0, 2.0], [0.5, 0.25, -4.0]])
    classes = torch.tensor([[0, 2], [1, 0]])
    first, second = predictions(presence_logits=presence.bfloat16(), classes=classes)
    assert np.array_equal(first.presence_logits, [3, -1, 2]) and np.array_equal(second.selected_classes, [1, 0])
    assert second.presence_logits.dtype == np.float32
    first, second = predictions(presence_logits=presence)
    assert np.array_equal(second.presence_logits, presence[1]) and second.selected_classes is None
    assert all(own.presence_logits is None and own.selected_classes is None for own in predictions())


def test_an_evaluation_measures_presence_where_the_model_tells_it() -> None:
    sky = PanopticMap(np.repeat([[1, 1, 2, 0]], 4, axis=0), (Segment(1, 1), Segment(2, 2)))
    cat = PanopticMap(np.full((4, 4), 1), (Segment(1, 0),))
    told = predictions(
        presence_logits=torch.tensor([[3.0, -1.0, 2.0], [0.5, 0.25, -4.0]]), classes=torch.tensor([[0, 2], [0, 1]])
    )
    meters = Meters(TAXONOMY, frozenset({"panoptic", "presence"}))
    meters.update(told, [sky, cat], [0, 1])
    content = meters.compute().to_dict()["presence"]
    assert content["image_ap"] == pytest.approx(((1 / 2 + 2 / 3) / 2 + 1) / 2)
    assert content["class_recall"] == pytest.approx((1 / 2 + 1) / 2)
    assert content["pixel_recall"] == pytest.approx((1 / 3 + 1) / 2)
    assert content["precision"] == pytest.approx(1 / 2)
    silent = Meters(TAXONOMY, frozenset({"panoptic", "presence"}))
    silent.update(predictions(), [sky, cat], [0, 1])
    assert "presence" not in silent.compute().to_dict()


def test_tiles_give_the_image_the_largest_logit_of_any_and_all_that_compete_somewhere():
    layout = lay_windows((4, 6), (4, 4), (4, 2))
    void = PanopticMap(np.zeros((4, 4), np.int32), ())
    logits = np.array([[3.0, -1.0, 2.0], [0.5, 0.25, 4.0]], np.float32)

    def stitched(*selections):
        told = [
            Prediction(void, presence_logits=own, selected_classes=k) for own, k in zip(logits, selections, strict=True)
        ]
        tiles = [TilePrediction(own, lambda window: torch.zeros(3, *window.size)) for own in told]
        return stitch(tiles, layout, TAXONOMY)

    some = stitched(np.array([2, 0]), np.array([2]))
    assert some.presence_logits.tolist() == [3.0, 0.25, 4.0] and some.selected_classes.tolist() == [0, 2]
    assert stitched(np.array([2]), None).selected_classes is None
    silent = stitch([TilePrediction(Prediction(void), None)] * 2, layout, TAXONOMY)
    assert silent.presence_logits is None and silent.selected_classes is None
