"""VC equals the recordings of VSPW's evaluation and its definition, window by window."""

import json
import math

import numpy as np
import pytest

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.metrics import SemanticQuality, VideoConsistency
from video_cases import TAXONOMY, map_of, recorded


def semantic_map(classes: np.ndarray, void: int) -> PanopticMap:
    present = [int(k) for k in np.unique(classes) if k != void]
    ids = np.where(classes == void, 0, classes + 1).astype(np.int32)
    return PanopticMap(ids, tuple(Segment(k + 1, k) for k in present))


def vc(videos, taxonomy, windows, void=255, **options):
    """Of (predictions, truths) as class maps, (T, H, W) each."""
    metric = VideoConsistency(taxonomy, windows, **options)
    for number, (predictions, truths) in enumerate(videos):
        for prediction, truth in zip(predictions, truths, strict=True):
            metric.update([prediction], [semantic_map(truth, void)], number)
    return metric.compute()


def test_the_recorded_sequences(real_data):
    for name, sequences, values in recorded(real_data):
        metric = VideoConsistency(TAXONOMY, (2, 4))
        for number, frames in enumerate(sequences):
            truths = [map_of(f[0], f[1], True, lambda k, i: (k + 1) << 16 | i) for f in frames]
            metric.update([f[2] for f in frames], truths, number)
        for length, value in metric.compute().vc.items():
            assert value == pytest.approx(values["vc"][str(length)], abs=1e-9), name


def test_the_recorded_clips_of_vspw(real_data):
    values = json.loads((real_data / "rankseg_blocks" / "vspw_metrics.json").read_text())
    arrays = np.load(real_data / "rankseg_blocks" / "vspw_metrics.npz")
    taxonomy = plain_taxonomy([f"c{k}" for k in range(values["K"])], things=[])
    videos = [(arrays[f"pred{k}"].astype(np.int64), arrays[f"label{k}"].astype(np.int64) - 1) for k in range(3)]
    result = vc(videos, taxonomy, (4, 8, 16), void=-1)
    for length in (4, 8, 16):
        assert result.vc[length] == pytest.approx(values["mVC"][f"VC{length}"], abs=1e-9)
        of_videos = [video[f"VC{length}"] for video in values["videos"] if video[f"VC{length}"]]
        assert result.windows[length] == sum(video["windows"] for video in of_videos)
    quality = SemanticQuality(taxonomy)
    for predictions, truths in videos:
        quality.update(predictions, [semantic_map(truth, -1) for truth in truths])
    assert quality.compute().miou_labelled == pytest.approx(values["mIoU"], abs=1e-9)


def plain_vc(videos, length, last_window):
    values = []
    for predictions, truths in videos:
        for start in range(len(truths) - length + last_window):
            gt, pred = truths[start : start + length], predictions[start : start + length]
            same = (gt == gt[0]).all(axis=0)
            both = same & (pred == pred[0]).all(axis=0)
            if same.any():
                values.append(both.sum() / same.sum())
    return (np.mean(values), len(values)) if values else (math.nan, 0)


@pytest.mark.parametrize("last_window", [False, True])
def test_the_definition(last_window):
    random = np.random.default_rng(0)
    videos = []
    for frames in (7, 4, 2):
        truths = np.repeat(random.integers(0, 3, (1, 6, 7)), frames, axis=0)
        truths[random.random(truths.shape) < 0.1] = 255
        predictions = truths.copy()
        predictions[random.random(truths.shape) < 0.1] = -1
        videos.append((predictions, truths))
    result = vc(videos, TAXONOMY, (4, 1, 3, 8), last_window=last_window)
    for length in (4, 1, 3, 8):
        mean, number = plain_vc(videos, length, last_window)
        assert (result.vc[length], result.windows[length]) == (pytest.approx(mean, abs=1e-12, nan_ok=True), number)
    assert 0 < result.vc[3] < 1
    assert result.to_dict()["video_consistency"]["vc8"] is None


def test_a_frame_without_prediction_is_consistent_with_nothing():
    truths = np.zeros((4, 2, 2), np.int64)
    metric = VideoConsistency(TAXONOMY, (1, 2), last_window=True)
    metric.update([truths[0], truths[0], None, truths[0]], [semantic_map(t, 255) for t in truths], 0)
    assert metric.compute().vc == {1: 3 / 4, 2: 1 / 3}


def test_bad_input():
    truth = semantic_map(np.zeros((2, 3), np.int64), 255)
    metric = VideoConsistency(TAXONOMY, (2,))
    with pytest.raises(UserError, match="The ground truth is 2 x 3 pixels but the prediction is 3 x 2"):
        metric.update([np.zeros((3, 2), np.int64)], [truth], 0)
    metric.update([np.zeros((2, 3), np.int64)], [truth], 1)
    with pytest.raises(UserError, match="The ground truth is 2 x 2 pixels but the frame before is 2 x 3"):
        metric.update([np.zeros((2, 2), np.int64)], [semantic_map(np.zeros((2, 2), np.int64), 255)], 1)
    with pytest.raises(UserError, match="0 predictions for 1 frames"):
        metric.update([], [truth], 2)
