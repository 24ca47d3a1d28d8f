"""Small panoptic maps for property tests: by hand, or drawn by hypothesis."""

import numpy as np
from hypothesis import strategies as st

from pantile.contracts.panoptic import MAX_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy

TAXONOMY = plain_taxonomy(["cat", "dog", "sky", "road"], things=["cat", "dog"])
CAT, DOG, SKY, ROAD = range(4)


def panoptic(ids, *segments) -> PanopticMap:
    return PanopticMap(np.array(ids, np.int32), tuple(s if isinstance(s, Segment) else Segment(*s) for s in segments))


@st.composite
def maps(draw, ground_truth: bool, size: tuple[int, int]) -> PanopticMap:
    """Rectangles painted over void: touching, hidden, split and single-pixel segments, with ids of any size."""
    height, width = size
    ids = np.zeros(size, np.int64)
    for _ in range(draw(st.integers(0, 6))):
        y, x = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        tall, wide = draw(st.integers(1, height)), draw(st.integers(1, width))
        value = draw(st.one_of(st.integers(0, 5), st.integers(1, MAX_ID)))
        ids[y : y + tall, x : x + wide] = value
    segments = []
    for value in draw(st.permutations([int(v) for v in np.unique(ids) if v])):
        class_index = draw(st.integers(0, 3))
        crowd = ground_truth and draw(st.integers(0, 3)) == 0
        segments.append(Segment(value, class_index, is_crowd=crowd))
    dtype = draw(st.sampled_from([np.int32, np.uint32, np.int64]))
    return PanopticMap(ids.astype(dtype), tuple(segments))


@st.composite
def pairs(draw) -> tuple[PanopticMap, PanopticMap]:
    size = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    gt = draw(maps(True, size))
    if draw(st.booleans()):
        return draw(maps(False, size)), gt
    ids = gt.ids.copy()  # a prediction near the ground truth, so that matches occur
    known = [0, *(s.id for s in gt.segments)]
    for _ in range(draw(st.integers(0, 4))):
        y, x = draw(st.integers(0, size[0] - 1)), draw(st.integers(0, size[1] - 1))
        ids[y, x:] = draw(st.sampled_from(known))
    left = set(np.unique(ids).tolist())
    rows = [Segment(s.id, draw(st.sampled_from([s.class_index, CAT]))) for s in gt.segments if s.id in left]
    return PanopticMap(ids, tuple(rows)), gt
