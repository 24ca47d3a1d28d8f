"""Evaluation of tracked videos: perfect segments lose what tracking loses, and nothing else; and the verb as typed."""

import json
from pathlib import Path

import numpy as np
import pytest

from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.predictions import Prediction
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data import Scenes, Subset
from pantile.data.video_scenes import VideoScenes
from pantile.engine.checkpoint import Checkpoint
from pantile.engine.checkpoint_files import CheckpointFiles
from pantile.engine.config import to_dict
from pantile.engine.evaluate_videos import evaluate_videos
from pantile.engine.task import PanopticTask
from pantile.engine.video_meters import VideoMeters
from pantile.inference import films as film_runs
from pantile.merge.tracking import TRACKERS
from tiny_runs import make_tiny_config

VIDEOS = VideoScenes(3, 6, size=(65, 65), seed=2, split="val")


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    task = PanopticTask(make_tiny_config("mask2former_nano"), VIDEOS.taxonomy)
    return Checkpoint(Path("tiny.ckpt"), task.config, VIDEOS.taxonomy, task.state_dict())


@pytest.fixture
def sees_the_truth(monkeypatch):
    """Each frame's own segments; queries that look like their things."""
    maps = {VIDEOS.load_image(k).tobytes(): VIDEOS.load(k)[1] for k in range(len(VIDEOS))}
    looks = np.random.default_rng(0).normal(size=(99, 16))

    def predict(network, image, views, tiling):
        panoptic = maps[image.tobytes()]
        return Prediction(panoptic, queries=np.arange(len(panoptic.segments))), looks[[s.id for s in panoptic.segments]]

    monkeypatch.setattr(film_runs, "predict_frame", predict)


def test_the_truth_tracked_by_its_queries_is_perfect(checkpoint, sees_the_truth):
    found = evaluate_videos(checkpoint, VIDEOS, "queries")
    assert found.results["stq"].all.stq == found.results["stq"].all.aq == 1
    assert found.results["vpq"].all.pq == 1
    assert found.frames == 18 and found.videos == [video.name for video in VIDEOS.videos]
    assert len(found.results["stq"].per_video) == 3
    assert len(evaluate_videos(checkpoint, VIDEOS, "queries", limit=2).videos) == 2


def test_without_tracking_only_association_falls(checkpoint, sees_the_truth, monkeypatch):
    """Each frame is a video of its own to a tracker that forgets: ids of things are new in every frame."""
    original = TRACKERS["queries"].make
    monkeypatch.setattr(TRACKERS["queries"], "make", lambda self, taxonomy: _forgetful(original(self, taxonomy)))
    stq = evaluate_videos(checkpoint, VIDEOS, "queries").results["stq"].all
    assert stq.sq == 1 and stq.aq < 0.5


def _forgetful(tracker):
    real = tracker.update

    def update(*arguments):
        tracker.tracks = []
        return real(*arguments)

    tracker.update = update
    return tracker


def test_images_and_parts(checkpoint, sees_the_truth):
    with pytest.raises(UserError, match="set of single images"):
        evaluate_videos(checkpoint, Scenes(2, (65, 65)))
    part = evaluate_videos(checkpoint, Subset(VIDEOS, [6, 7, 0]), "queries")
    assert part.frames == 3 and part.results["stq"].all.stq == 1


def test_as_typed(checkpoint, tmp_path, capsys):
    content = {
        "state_dict": checkpoint.state,
        "pantile": {"config": to_dict(checkpoint.config), "taxonomy": VIDEOS.taxonomy.to_dict(), "step": 1},
    }
    path = tmp_path / "tiny.ckpt"
    CheckpointFiles().save_checkpoint(content, path)
    data = ["--data", "video-scenes:2,frames=3,size=65", "--track", "overlap"]
    assert main(["eval", str(path), *data, "--json", str(tmp_path / "x.json")]) == 0
    told = capsys.readouterr().out
    assert "2 videos, 6 frames" in told and "STQ" in told and "VPQ" in told
    assert json.loads((tmp_path / "x.json").read_text())["frames"] == 6
    assert main(["eval", str(path), *data, "--confused", str(tmp_path / "c")]) == 2
    assert "--confused draws things of single images" in capsys.readouterr().err
    out = tmp_path / "shown"
    assert main(["data", "show", "video-scenes:3,frames=8,size=64", "--images", "12", "--out", str(out)]) == 0
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count("video_train_00000/") >= 6 and "video_train_00002/00007.png" in page


def test_of_data_without_stuff_tracks_are_measured_too():
    """By the tracks of the maps, or by instances that overlap where a model gives them for a whole video."""
    taxonomy = plain_taxonomy(["cat", "dog"], things=["cat", "dog"])
    ids = np.zeros((8, 8), np.int32)
    ids[:4], ids[4:] = 1, 2
    truth = PanopticMap(ids, (Segment(1, 0), Segment(2, 1)))
    meters = VideoMeters(taxonomy, longest=2)
    for video, given in enumerate((None, ())):
        for _ in range(2):
            meters.add(Prediction(truth), truth, video)
        meters.end_of_video(video, given)
        assert meters.compute()["ap"].ap == pytest.approx((1.0, 0.5)[video], abs=0.01)
    assert meters.compute()["miou"].miou == 1 and "ap" not in VideoMeters(VIDEOS.taxonomy, 2).metrics
