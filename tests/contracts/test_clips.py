"""Clips as neighbours of a batch: one table for all frames."""

import numpy as np
import pytest
import torch

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.targets import PanopticTargets, collate_targets
from pantile.contracts.taxonomy import plain_taxonomy

TAXONOMY = plain_taxonomy(["person", "car", "sky"], things=["person", "car"])


def frame(ids, **classes):
    segments = tuple(Segment(int(name[1:]), index) for name, index in classes.items())
    return PanopticMap(np.array(ids), segments)


def test_an_id_is_the_same_row_in_all_frames_of_a_clip():
    clip = [
        frame([[7, 7], [9, 0]], s7=0, s9=2),
        frame([[9, 9], [9, 9]], s9=2),
        frame([[5, 9], [7, 7]], s5=1, s7=0, s9=2),
    ]
    other = [frame([[4, 4], [4, 4]], s4=1)] * 3
    targets = PanopticTargets.from_maps(clip + other, TAXONOMY, frames=3)
    assert targets.frames == 3
    assert targets.classes[:3].tolist() == [[0, 2, 1]] * 3
    assert targets.ids[:3].tolist() == [[[1, 1], [2, 0]], [[2, 2], [2, 2]], [[3, 2], [1, 1]]]
    assert targets.classes[3:].tolist() == [[1, -1, -1]] * 3


def test_rows_leave_with_the_last_frame_that_shows_them():
    ids = torch.zeros(2, 4, 4, dtype=torch.int64)
    ids[0, :2], ids[1, 0, 1] = 1, 2  # row 1 (id 2) is only on a pixel that a smaller map does not read
    table, no = [torch.tensor([0, 1])] * 2, [torch.zeros(2, dtype=torch.bool)] * 2
    targets = collate_targets(list(ids), table, no, ["a", "b"], frames=2)
    assert targets.masks_at((4, 4)).labels.tolist() == [[0, 1], [0, 1]]
    assert targets.masks_at((2, 2)).labels.tolist() == [[0, -1], [0, -1]]
    assert targets.as_images().masks_at((4, 4)).labels.tolist() == [[0, -1], [-1, 1]]


def test_frames_of_several_tables_and_half_clips_are_refused():
    maps, no = [torch.zeros(2, 2, dtype=torch.int64)] * 2, [torch.zeros(1, dtype=torch.bool)] * 2
    with pytest.raises(UserError, match=r"b: the frame has another table than a"):
        collate_targets(maps, [torch.tensor([0]), torch.tensor([1])], no, ["a", "b"], frames=2)
    with pytest.raises(UserError, match="2 maps are no clips of 3 frames"):
        collate_targets(maps, [torch.tensor([0])] * 2, no, ["a", "b"], frames=3)
    with pytest.raises(UserError, match="Segment 7 changes its class"):
        PanopticTargets.from_maps([frame([[7]], s7=0), frame([[7]], s7=1)], TAXONOMY, frames=2)
