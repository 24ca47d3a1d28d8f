import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import MAX_ID, PanopticMap, Segment
from pantile.contracts.run_lengths import decompressed, encode_segments, instances_of
from pantile.contracts.taxonomy import plain_taxonomy

TAXONOMY = plain_taxonomy(["cat", "sky", "dog"], things=["cat", "dog"])


@settings(max_examples=150, deadline=None)
@given(
    arrays(
        st.sampled_from([np.int32, np.uint32, np.int64]),
        array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.sampled_from([0, 1, 2, 7, MAX_ID]),
    ),
    st.randoms(),
)
def test_equals_the_encoding_of_each_mask(ids, random):
    present = np.unique(ids).tolist()
    random.shuffle(present)
    wanted = [coco_mask.encode(np.asfortranarray(ids == i, np.uint8)) for i in present]
    assert encode_segments(ids, present) == wanted


def test_instances_are_the_things_with_their_scores():
    ids = np.array([[1, 1, 5], [9, 9, 5]], np.int32)
    table = (Segment(9, 2, score=0.25), Segment(5, 1, score=0.9), Segment(1, 0, score=0.5))
    dog, cat = instances_of(PanopticMap(ids, table), TAXONOMY)
    assert (dog.class_index, dog.score, cat.class_index, cat.score) == (2, 0.25, 0, 0.5)
    assert (coco_mask.decode(dog.mask) == (ids == 9)).all()
    assert (coco_mask.decode(cat.mask) == (ids == 1)).all()
    assert instances_of(PanopticMap(ids, ()), TAXONOMY) == ()


def test_a_segment_without_pixels_is_refused():
    with pytest.raises(UserError, match="segment id 4, but no pixel has it"):
        instances_of(PanopticMap(np.ones((2, 2), np.int32), (Segment(4, 0),)), TAXONOMY)


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 1)), st.integers(1, 40)
)
def test_runs_of_compressed_masks(mask, scale):
    mask = np.repeat(mask, scale, axis=0)
    flat = mask.reshape(-1, order="F")
    wanted = np.diff([0, *np.flatnonzero(np.diff(flat, prepend=0)), flat.size]).tolist()
    got = decompressed(coco_mask.encode(np.asfortranarray(mask))["counts"]).tolist()
    assert got == (wanted if wanted[-1] or len(wanted) == 1 else wanted[:-1])


@pytest.mark.parametrize("counts", [b"", b"0h", b"\xff", b"/", b"o" * 9 + b"0"])
def test_bytes_that_are_no_runs(counts):
    assert decompressed(counts) is None
