"""Which query each segment of a panoptic map is of, for every merge of queries."""

import pytest
import torch

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.merge import MaskMergeConfig, merge
from pantile.merge.query_config import QueryMergeConfig

TAXONOMY = plain_taxonomy(["cat", "sky"], things=["cat"])
SIZE = (16, 16)
SAME = Placement(SIZE, SIZE, SIZE)


def four_quarters():
    """Query 4 is a cat at the upper left, 1 another at the upper right, 0 and 3 sky below, 3 the surer one."""
    masks = torch.full((1, 5, *SIZE), -9.0)
    for query, (rows, columns) in {4: (0, 0), 1: (0, 8), 0: (8, 0), 3: (8, 8)}.items():
        masks[0, query, rows : rows + 8, columns : columns + 8] = 9
    classes = torch.full((1, 5, 3), -9.0)
    for query, (label, sure) in {4: (0, 9.0), 1: (0, 9.0), 0: (1, 1.0), 3: (1, 9.0), 2: (2, 9.0)}.items():
        classes[0, query, label] = sure
    none = torch.zeros(1, 1, 1, 1)
    return MaskOutput(classes, masks, none[..., 0], none, none)


@pytest.mark.parametrize(
    "config",
    [
        QueryMergeConfig(),
        MaskMergeConfig(kind="mask_wise", stuff_area_limit=0),
        MaskMergeConfig(kind="pixel_wise", stuff_area_limit=0),
    ],
    ids=lambda config: config.kind,
)
def test_queries_are_those_of_the_segments(config):
    (prediction,) = merge(four_quarters(), TAXONOMY, config, [SAME])
    at = {(0, 0): {4}, (0, 15): {1}, (15, 0): {0, 3}}
    of_id = dict(zip((s.id for s in prediction.panoptic.segments), prediction.queries.tolist(), strict=True))
    assert len(of_id) == 3
    for pixel, queries in at.items():
        assert of_id[int(prediction.panoptic.ids[pixel])] in queries
