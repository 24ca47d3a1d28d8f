"""Predictions of EoMT's outputs against the authors' post-processing by hand, and transformers'."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import EomtImageProcessor

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import CenterOutput, MaskOutput, SemanticOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data import FitConfig, fit_placement
from pantile.inference.windows import Windows, forward_windows
from pantile.merge import merge
from pantile.merge.class_evidence import class_evidence
from pantile.merge.query_config import QueryMergeConfig
from pantile.merge.query_votes_config import QueryVotesConfig
from pantile.merge.tile_layout import Window

TAXONOMY = plain_taxonomy(["a", "b", "c", "d"], things=["a", "b"])
STUFF = {2, 3}
SIDE = 32  # of the square into which images are fitted
ORIGINAL = (41, 60)


def output_of(seed: int, queries: int = 9, size: tuple[int, int] = (SIDE // 4, SIDE // 4)) -> MaskOutput:
    """Confident queries, smooth masks."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randn(1, queries, 5, generator=generator, dtype=torch.float64) * 9
    coarse = torch.randn(1, queries, 3, 3, generator=generator, dtype=torch.float64) * 8 - 6
    masks = F.interpolate(coarse, size, mode="bilinear")
    nothing = masks[:, :, :1, :1].flatten(2)
    return MaskOutput(classes, masks, nothing, masks[:, :1], masks[:, :1])


def authors_map(output: MaskOutput) -> torch.Tensor:
    """(H, W, 2) class and segment, 4 and -1 for void: the loop of their evaluation, read and written anew."""
    scores, classes = output.class_logits[0].softmax(-1).max(-1)
    content = [round(side * min(SIDE / s for s in ORIGINAL)) for side in ORIGINAL]
    logits = F.interpolate(output.mask_logits, (SIDE, SIDE), mode="bilinear")[:, :, : content[0], : content[1]]
    masks = F.interpolate(logits, ORIGINAL, mode="bilinear")[0].sigmoid()
    result = torch.full((*ORIGINAL, 2), -1)
    result[..., 0] = 4
    keep = ((classes != 4) & (scores > 0.8)).nonzero()[:, 0].tolist()
    if not keep:
        return result
    winner = (scores[keep][:, None, None] * masks[keep]).argmax(0)
    stuff, count = {}, 0
    for rank, query in enumerate(keep):
        inside, won, label = masks[query] >= 0.5, winner == rank, int(classes[query])
        if not inside.any() or not (won & inside).any() or won.sum() / inside.sum() < 0.8:
            continue
        number = stuff.get(label, count)
        result[won & inside] = torch.tensor([label, number])
        if number == count:
            count += 1
        if label in STUFF:
            stuff[label] = number
    return result


@pytest.mark.parametrize("seed", range(12))
def test_panoptic_maps_are_the_authors(seed):
    output = output_of(seed)
    (prediction,) = merge(output, TAXONOMY, QueryMergeConfig(), [fit_placement(ORIGINAL, (SIDE, SIDE))])
    wanted = authors_map(output)
    ids = prediction.panoptic.ids
    assert np.array_equal(ids, wanted[..., 1].numpy() + 1)
    for segment in prediction.panoptic.segments:
        assert (wanted[..., 0].numpy()[ids == segment.id] == segment.class_index).all()
    theirs = EomtImageProcessor(size={"shortest_edge": SIDE, "longest_edge": SIDE}).post_process_panoptic_segmentation(
        SimpleNamespace(masks_queries_logits=output.mask_logits, class_queries_logits=output.class_logits),
        [ORIGINAL],
        stuff_classes=sorted(STUFF),
    )[0]["segmentation"]
    assert np.array_equal(ids, theirs.numpy() + 1)


def test_some_of_these_maps_have_segments_of_both_kinds():
    found = {int(c) for seed in range(12) for c in authors_map(output_of(seed))[..., 0].unique()}
    assert found >= {0, 1, 2, 3, 4}


def test_where_transformers_differs():
    """Stuff stays apart unless its classes are named."""
    masks = torch.full((1, 2, 1, 8), -9.0)
    masks[0, 0, 0, :4], masks[0, 1, 0, 4:] = 9.0, 9.0
    classes = torch.tensor([[[0, 0, 9.0, 0, 0], [0, 0, 9.0, 0, 0]]])
    output = MaskOutput(classes, masks, masks[:, :, 0], masks[:, :1], masks[:, :1])
    (prediction,) = merge(output, TAXONOMY, QueryMergeConfig(), [Placement.whole((1, 8))])
    theirs = EomtImageProcessor(size={"shortest_edge": 1, "longest_edge": 8}, do_resize=False)
    told = theirs.post_process_panoptic_segmentation(
        SimpleNamespace(masks_queries_logits=masks, class_queries_logits=classes), [(1, 8)]
    )[0]["segments_info"]
    assert len(prediction.panoptic.segments) == 1 and len(told) == 2


def network(images: torch.Tensor) -> MaskOutput:
    """Some function of a window's pixels."""
    coarse = F.avg_pool2d(images, 4)
    classes = images.mean(dim=(2, 3))[:, :1, None] * 9 + 3 * torch.eye(3, 5)
    return MaskOutput(classes.double(), coarse.double() * 20, coarse.flatten(2)[:, :, :2], coarse, coarse)


@pytest.mark.parametrize("original", [(40, 100), (100, 40), (32, 32), (33, 50)])
def test_class_maps_over_windows_are_the_authors(original):
    fit = FitConfig(short_side=32, multiple=1)
    placement = fit_placement(original, fit)
    images = torch.randn(1, 3, *placement.padded, generator=torch.Generator().manual_seed(1))
    output = forward_windows(network, images, Windows((32, 32), spread=True, average="votes"))
    (prediction,) = merge(output, TAXONOMY, QueryVotesConfig(), [placement], frozenset({"panoptic", "semantic"}))

    longer = max(placement.padded)
    count = math.ceil(longer / 32)
    overlap = (count * 32 - longer) / (count - 1) if count > 1 else 0
    sums, seen = torch.zeros(4, *placement.padded, dtype=torch.float64), torch.zeros(placement.padded)
    for k in range(count):
        start = int(k * (32 - overlap))
        part = (slice(start, start + 32), slice(None))
        part = part if placement.padded[0] > placement.padded[1] else part[::-1]
        one = network(images[..., *part])
        masks = F.interpolate(one.mask_logits, (32, 32), mode="bilinear").sigmoid()
        sums[..., *part] += torch.einsum("bqhw,bqc->bchw", masks, one.class_logits.softmax(-1)[..., :-1])[0]
        seen[part] += 1
    wanted = F.interpolate((sums / seen)[None], original, mode="bilinear")[0].argmax(0)
    assert (prediction.semantic != wanted.numpy()).mean() < 1e-3
    assert len(wanted.unique()) > 1
    assert prediction.per_class and {s.class_index for s in prediction.panoptic.segments} == set(np.unique(wanted))


def test_votes_without_windows_and_their_evidence():
    output = output_of(3)
    placement = fit_placement(ORIGINAL, (SIDE, SIDE))
    (prediction,) = merge(output, TAXONOMY, QueryVotesConfig(chunk_rows=7), [placement], frozenset({"semantic"}))
    votes = class_evidence(output, QueryMergeConfig(), placement)
    window = Window(3, 5, 30, 50)
    assert np.array_equal(prediction.semantic[window.slices], votes(window).argmax(0))
    counted = class_evidence(output, QueryVotesConfig(), placement)(window)
    assert np.abs(counted - votes(window)).max() < 1e-5


def test_other_outputs_are_refused_in_a_sentence():
    maps = torch.zeros(1, 4, 8, 8)
    with pytest.raises(UserError, match="takes a MaskOutput or a SemanticOutput, but there is a CenterOutput"):
        merge(CenterOutput(maps, maps[:, :1], maps[:, :2]), TAXONOMY, QueryVotesConfig(), [Placement.whole((8, 8))])
    output = forward_windows(network, torch.zeros(1, 3, 32, 32), Windows((32, 32), average="votes"))
    assert isinstance(output, SemanticOutput)
    with pytest.raises(UserError, match=r"merge\.kind=query_argmax takes a MaskOutput, but there is a SemanticOutput"):
        merge(output, TAXONOMY, QueryMergeConfig(), [Placement.whole((32, 32))])
