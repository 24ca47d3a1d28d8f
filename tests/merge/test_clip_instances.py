"""Things of clips against the original's recorded inference."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pycocotools.mask import decode

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.merge import QueryVotesConfig, merge
from pantile.merge.clip_instances import clip_instances
from rankseg_blocks import Recording


def classes(count):
    names = [f"class {k}" for k in range(count)]
    return plain_taxonomy(names, things=names)


def recorded_output(logits, masks, frames):
    """(Q, K+1) and (Q, T, h, w)"""
    none = torch.zeros(frames, 1, 1, 1)
    return MaskOutput(logits.expand(frames, -1, -1), masks.transpose(0, 1), none[..., 0], none, none, frames=frames)


def test_the_ten_best_of_the_original(real_data):
    recording = Recording(real_data, "m2f_video_inference")
    told = recording.told
    output = recorded_output(recording["pred_logits"], recording["pred_masks"], 3)
    placement = Placement(tuple(told["padded"]), tuple(told["image_size"]), tuple(told["output"]))
    (found,) = clip_instances(output, classes(5), [placement] * 3, 10)
    assert [track.score for track in found] == pytest.approx(told["scores"], abs=1e-5)
    assert [track.class_index for track in found] == told["labels"]
    expected = np.unpackbits(recording.arrays["test_masks"].numpy(), axis=-1)[..., : told["output"][1]]
    for track, masks in zip(found, expected, strict=True):
        for mask, truth in zip(track.masks, masks, strict=True):
            assert np.array_equal(np.zeros_like(truth) if mask is None else decode(mask), truth)


def test_frames_that_are_classified_one_by_one_are_averaged():
    g = torch.Generator().manual_seed(0)
    output = recorded_output(torch.randn(4, 4, generator=g), torch.randn(4, 2, 8, 8, generator=g), 2)
    output = replace(output, class_logits=torch.randn(2, 4, 4, generator=g))
    placement = Placement((32, 32), (32, 32), (32, 32))
    (best, *_), *_ = clip_instances(output, classes(3), [placement] * 2, 5)
    mean = output.class_logits.mean(dim=0).softmax(dim=-1)[..., :-1]
    assert best.score == pytest.approx(float(mean.max()))
    assert clip_instances(output, plain_taxonomy(["a", "b", "c"], things=[]), [placement] * 2, 5) == [()]


def test_classes_of_pixels_are_the_originals_votes(real_data):
    """Recorded after RankSeg, on the fixed outputs that its own test ranks: (K, T, H, W) votes of the first clip."""
    recording = Recording(real_data, "m2f_rank_video")
    told = recording.told
    ranked = torch.full((1, told["Q"], told["K"] + 1), -100.0, dtype=torch.float64)
    columns = torch.cat([recording["topk_index"][:1], torch.tensor([[told["K"]]])], dim=1)[:, None]
    ranked = ranked.scatter(2, columns.expand(-1, told["Q"], -1), recording["rank_logits"][:1])
    output = recorded_output(ranked[0], recording["pred_masks"][0], 2)
    placement = Placement((48, 64), (48, 64), tuple(told["test"]["image_size"]))
    predictions = merge(output, classes(told["K"]), QueryVotesConfig(), [placement] * 2, frozenset({"semantic"}))
    votes = recording["test_sem_seg"]
    for frame, prediction in enumerate(predictions):
        assert np.array_equal(prediction.semantic, votes[:, frame].argmax(dim=0).numpy())
