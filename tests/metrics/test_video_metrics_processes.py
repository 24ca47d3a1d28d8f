"""Two processes that share the videos find what one finds."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from video_cases import TAXONOMY, drawn_video, maps_of

from pantile.contracts.errors import UserError
from pantile.metrics import (
    SegmentationTrackingQuality,
    TrackAveragePrecision,
    VideoConsistency,
    VideoPanopticQuality,
    semantic_of,
    tracks_of,
)

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


def _worker(rank: int, rendezvous: str, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    results = measured(range(rank, 3, 2))
    with pytest.raises(UserError, match="Frames of video 0 were counted in several processes"):
        vpq = VideoPanopticQuality(TAXONOMY)
        vpq.update(*VIDEOS[0], 0)
        vpq.compute()
    stq = SegmentationTrackingQuality(TAXONOMY)  # the frames of one video in two processes
    stq.update(*(maps[rank::2] for maps in VIDEOS[0]), 0)
    torch.save([*results, stq.compute().to_dict()], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_give_the_result_of_one(tmp_path):
    arguments = (str(tmp_path / "rendezvous"), str(tmp_path))
    mp.start_processes(_worker, args=arguments, nprocs=2, start_method="fork")  # shares what is imported here
    wanted = [*measured(range(3)), measured([0])[0]]
    assert all(next(iter(group.values())) for group in wanted)
    for rank in range(2):
        for got, of_one in zip(torch.load(tmp_path / f"{rank}.pt"), wanted, strict=True):
            assert flat(got) == pytest.approx(flat(of_one), abs=1e-12)


def flat(content: dict, path: str = "") -> dict[str, float]:
    pairs = {}
    for key, value in content.items():
        pairs |= flat(value, f"{path}/{key}") if isinstance(value, dict) else {f"{path}/{key}": value}
    return pairs
