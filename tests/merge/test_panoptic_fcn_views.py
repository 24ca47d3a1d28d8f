"""Averages over views of queries found at positions: candidates differ from view to view, and many are empty."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from position_queries import LEAST, assemble, class_row

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.merge import PanopticFCNMergeConfig, merge
from pantile.merge.views import View, average_views

TAXONOMY = plain_taxonomy(["cat", "sky", "dog", "road"], things=["cat", "dog"])
SIZE = (24, 32)
SAME = Placement(SIZE, SIZE, SIZE)
CONFIG = PanopticFCNMergeConfig(stuff_area_limit=0)
CAT, LEFT_DOG, RIGHT_DOG, SKY, ROAD = range(5)  # objects, and the channels that show them
LABELS = (0, 2, 2, 1, 3)


def truth() -> torch.Tensor:
    """(24, 32) the object at each pixel."""
    objects = torch.full(SIZE, SKY)
    objects[12:] = ROAD
    objects[4:14, 2:10] = CAT
    objects[8:20, 12:18] = LEFT_DOG
    objects[6:18, 22:30] = RIGHT_DOG
    return objects


def view(candidates, fillers=6, noise=0.0, seed=0, mirrored=False) -> MaskOutput:
    """Queries (score, object or class and object) in the given order, then those that say nothing.

    Each mask is its object's and noise of its own, as if its kernel were not quite right. A filler's mask is
    an object's, as that of a position beside a peak is.
    """
    generator = torch.Generator().manual_seed(seed)
    objects = truth().flip(-1) if mirrored else truth()
    maps = torch.stack([torch.where(objects == n, 3.0, -3.0) for n in range(5)])
    rows, masks, kernels = [], [], []
    candidates = [*candidates, *((0.0, n % 3) for n in range(fillers))]
    for score, what in candidates:
        label, number = what if isinstance(what, tuple) else (LABELS[what], what)
        rows.append(class_row(score, label, 4))
        masks.append(maps[number] + noise * torch.randn(SIZE, generator=generator))
        kernels.append(torch.eye(5)[number] + 0.01 * torch.randn(5, generator=generator))
    output = assemble(rows, kernels, maps)
    return replace(output, class_logits=output.class_logits.float(), mask_logits=torch.stack(masks)[None])


#: (score, object): several levels find an object, and the mirror image has other candidates in another order
ONE = [(0.9, CAT), (0.5, CAT), (0.8, LEFT_DOG), (0.7, RIGHT_DOG), (0.4, RIGHT_DOG), (0.5, SKY), (0.4, ROAD)]
TWO = [(0.3, RIGHT_DOG), (0.7, RIGHT_DOG), (0.8, CAT), (0.6, LEFT_DOG), (0.5, LEFT_DOG), (0.5, SKY), (0.6, ROAD)]


def objects_of(output: MaskOutput) -> tuple[np.ndarray, list[int]]:
    (got,) = merge(output, TAXONOMY, CONFIG, [SAME])
    return got.panoptic.ids, [s.class_index for s in got.panoptic.segments]


def accuracy(output: MaskOutput) -> float:
    """Share of pixels whose segment is the one that covers most of the true object."""
    ids, expected = objects_of(output)[0], truth().numpy()
    majority = [np.bincount(ids[expected == n]).argmax() for n in range(5)]
    assert len(set(majority) - {0}) == 5
    return float((ids == np.array(majority)[expected]).mean())


def scores(output: MaskOutput) -> torch.Tensor:
    """(N,)"""
    return output.class_logits[0].softmax(-1)[:, :-1].amax(dim=1)


@pytest.mark.parametrize("fillers", [6, 0, 20])
def test_a_mirrored_view_of_the_same_scene_keeps_every_object(fillers):
    one, two = view(ONE), view(TWO, fillers=fillers, seed=1, mirrored=True)
    ids, classes = objects_of(average_views(one, [View(two, True)]))
    assert classes == [0, 2, 2, 1, 3]
    assert accuracy(one) == accuracy(average_views(one, [View(two, True)])) == 1.0
    np.testing.assert_array_equal(ids, objects_of(one)[0])


def test_an_average_is_better_than_either_view():
    one, two = view(ONE, noise=1.5), view(TWO, noise=1.5, seed=1, mirrored=True)
    back = replace(two, mask_logits=two.mask_logits.flip(-1))
    average = average_views(one, [View(two, True)])
    assert max(accuracy(one), accuracy(back)) + 0.01 < accuracy(average)


def test_objects_get_the_mean_of_their_scores():
    one = view([(0.9, CAT), (0.6, RIGHT_DOG), (0.5, SKY)])
    two = view([(0.3, SKY), (0.7, CAT), (0.2, RIGHT_DOG)], seed=1, mirrored=True)
    found = scores(average_views(one, [View(two, True)]))
    torch.testing.assert_close(found[:3], torch.tensor([0.8, 0.4, 0.4]), rtol=1e-4, atol=1e-4)
    assert (found[3:] < 2 * LEAST).all()


def test_a_candidate_that_the_other_view_lacks_keeps_its_score():
    """A query without a score is an empty place, not somebody's word that nothing is there."""
    one, two = view([(0.9, CAT), (0.5, CAT)]), view([(0.7, CAT)], seed=1, mirrored=True)
    found = scores(average_views(one, [View(two, True)]))
    assert sorted(found[:2].tolist()) == pytest.approx([0.5, 0.8], abs=1e-4)


def test_an_empty_place_takes_nothing_from_the_other_view():
    one, two = view([(0.9, CAT)]), view([(0.8, CAT), (0.8, LEFT_DOG)], seed=1, mirrored=True)
    average = average_views(one, [View(two, True)])
    torch.testing.assert_close(average.mask_logits[:, 1:], one.mask_logits[:, 1:])
    torch.testing.assert_close(average.class_logits[:, 1:].softmax(-1), one.class_logits[:, 1:].softmax(-1))


def test_views_that_disagree_on_the_class_do_not_lose_the_object():
    one, two = view([(0.6, CAT)]), view([(0.5, (2, CAT))], seed=1, mirrored=True)  # a dog, there
    average = average_views(one, [View(two, True)])
    expected = torch.tensor([0.3, 0.0, 0.25, 0.0, 0.45])
    torch.testing.assert_close(average.class_logits[0, 0].softmax(-1), expected, rtol=1e-4, atol=1e-4)
    assert objects_of(average)[1] == [0]


def test_views_without_any_candidate():
    empty, full = view([]), view(ONE, mirrored=True)
    for first, other in ((empty, full), (view(ONE), view([], mirrored=True))):
        average = average_views(first, [View(other, True)])
        torch.testing.assert_close(average.mask_logits, first.mask_logits)
        torch.testing.assert_close(average.class_logits.softmax(-1), first.class_logits.softmax(-1))
