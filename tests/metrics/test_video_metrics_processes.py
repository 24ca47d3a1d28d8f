"""Two processes that share the videos find what one finds."""

import pytest

from gloo_processes import in_processes
from pantile.contracts.errors import UserError
from pantile.metrics import (
    SegmentationTrackingQuality,
    TrackAveragePrecision,
    VideoConsistency,
    VideoPanopticQuality,
    semantic_of,
    tracks_of,
)
from video_cases import TAXONOMY, drawn_video, maps_of

VIDEOS = [maps_of(drawn_video(seed)) for seed in range(3)]


def measured(numbers) -> list[dict]:
    stq, vpq = SegmentationTrackingQuality(TAXONOMY), VideoPanopticQuality(TAXONOMY)
    ap = TrackAveragePrecision(TAXONOMY)
    vc = VideoConsistency(TAXONOMY, (2,))
    for number in numbers:
        predictions, truths = VIDEOS[number]
        stq.update(predictions, truths, number)
        vpq.update(predictions, truths, number)
        vc.update([semantic_of(p, TAXONOMY) for p in predictions], truths, number)
        ap.update(*(tracks_of(maps, TAXONOMY) for maps in (predictions, truths)), number)
    return [metric.compute().to_dict() for metric in (stq, vpq, vc, ap)]


def _share(rank: int) -> list[dict]:
    results = measured(range(rank, 3, 2))
    with pytest.raises(UserError, match="Frames of video 0 were counted in several processes"):
        vpq = VideoPanopticQuality(TAXONOMY)
        vpq.update(*VIDEOS[0], 0)
        vpq.compute()
    stq = SegmentationTrackingQuality(TAXONOMY)  # the frames of one video in two processes
    stq.update(*(maps[rank::2] for maps in VIDEOS[0]), 0)
    return [*results, stq.compute().to_dict()]


def test_two_processes_give_the_result_of_one():
    wanted = [*measured(range(3)), measured([0])[0]]
    assert all(next(iter(group.values())) for group in wanted)
    for results in in_processes(_share):
        for got, of_one in zip(results, wanted, strict=True):
            assert flat(got) == pytest.approx(flat(of_one), abs=1e-12)


def flat(content: dict, path: str = "") -> dict[str, float]:
    pairs = {}
    for key, value in content.items():
        pairs |= flat(value, f"{path}/{key}") if isinstance(value, dict) else {f"{path}/{key}": value}
    return pairs
