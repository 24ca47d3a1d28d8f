"""Films and a model that reads clips: every frame comes out once, windows join, an interruption changes nothing."""

import gc
import json
import weakref

import numpy as np
import pytest
import torch
from film_makers import squares, write_frames

from pantile.contracts.errors import UserError
from pantile.data.films import open_films
from pantile.data.image_files import read_panoptic_png
from pantile.data.video_scenes import VideoScenes
from pantile.engine.checkpoint import Checkpoint
from pantile.engine.evaluate_videos import evaluate_videos
from pantile.engine.task import PanopticTask
from pantile.inference import films as film_runs
from pantile.inference.clip_windows import ClipWindows
from pantile.inference.films import run_film
from pantile.inference.images import predict_clip, predict_frame
from pantile.inference.tiles import Tiling
from pantile.inference.views import Views
from pantile.merge.tracking import OverlapTracking, QueryTracking
from pantile.predict import PredictOptions, Predictor, film_strips, films
from pantile.predict.films import predict_films
from tiny_runs import make_tiny_config

VIDEOS = VideoScenes(2, 5, size=(65, 65), seed=2, split="val")


@pytest.fixture(scope="module")
def predictor():
    """Untrained, and sure of what it says."""
    config = make_tiny_config("mask2former_video_nano")
    config.clips = ClipWindows(frames=3, overlap=1)
    config.merge.object_threshold = config.merge.overlap_threshold = 0.0
    torch.manual_seed(3)
    task = PanopticTask(config, VIDEOS.taxonomy)
    with torch.no_grad():
        task.model.classifier.weight *= 30
        task.model.classifier.bias[-1] = -50.0
    return Predictor(task)


def rows_of(out):
    return json.loads((out / "pred.json").read_text())["annotations"][0]["annotations"]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return open_films([write_frames(tmp_path_factory.mktemp("films") / "walk", 8)])


NO_OVERLAYS = PredictOptions(overlays=False)


def test_every_frame_comes_out_once_whatever_the_windows(predictor, film, tmp_path):
    made = predict_films(predictor, film, tmp_path / "out", OverlapTracking(), NO_OVERLAYS)
    assert made.frames == {"walk": 8}
    rows = rows_of(tmp_path / "out")
    assert [row["file_name"] for row in rows] == [f"{n:05}.png" for n in range(8)]
    assert all(row["segments_info"] for row in rows)
    for row in rows:
        ids = read_panoptic_png(tmp_path / "out" / "pan_pred" / "walk" / row["file_name"])
        assert set(np.unique(ids)) - {0} == {s["id"] for s in row["segments_info"]}


def test_frames_of_a_window_are_seen_together(predictor, film):
    images = [frame.image for frame in film[0].frames()][:3]
    clip = predict_clip(predictor.network, images, Views())
    assert len(clip.predictions) == 3 and clip.carried is None
    assert np.array_equal(clip.embeds[0], clip.embeds[2])
    single = [predict_frame(predictor.network, image, Views())[1] for image in images]
    assert not np.allclose(clip.embeds[0], single[0])
    alone = predict_clip(predictor.network, images[:1], Views())
    np.testing.assert_allclose(alone.embeds[0], single[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tracking", [OverlapTracking(), QueryTracking()])
def test_an_interrupted_film_goes_on_at_a_window(predictor, film, tmp_path, monkeypatch, tracking):
    monkeypatch.setattr(films, "STATE_EVERY", 2)
    predict_films(predictor, film, tmp_path / "whole", tracking, NO_OVERLAYS)
    seen = []

    def interrupted(*arguments):
        seen.append(1)
        if len(seen) > 2:
            raise KeyboardInterrupt
        return predict_clip(*arguments)

    monkeypatch.setattr(film_runs, "predict_clip", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict_films(predictor, film, tmp_path / "out", tracking, NO_OVERLAYS)
    monkeypatch.setattr(film_runs, "predict_clip", predict_clip)
    resume = PredictOptions(overlays=False, existing="resume")
    made = predict_films(predictor, film, tmp_path / "out", tracking, resume)
    assert made.kept == 5  # 3 frames of the first window, 2 new ones of the second
    assert rows_of(tmp_path / "out") == rows_of(tmp_path / "whole")


def test_a_frame_of_another_size_keeps_those_that_waited(predictor, tmp_path):
    folder = write_frames(tmp_path / "grows", 6, size_of=lambda number: (64, 96) if number < 4 else (80, 96))
    with pytest.raises(UserError, match=r"00004\.png is 96x80 pixels"):
        predict_films(predictor, open_films([folder]), tmp_path / "out", OverlapTracking(), NO_OVERLAYS)
    assert len(list((tmp_path / "out" / "pan_pred" / "grows").glob("*.png"))) == 4


def test_videos_are_measured(predictor, tmp_path):
    task = predictor.task
    checkpoint = Checkpoint(tmp_path / "tiny.ckpt", task.config, VIDEOS.taxonomy, task.state_dict())
    found = evaluate_videos(checkpoint, VIDEOS, "queries")
    assert found.frames == 10 and 0 <= found.results["stq"].all.sq <= 1


def test_what_makes_no_sense_is_told(predictor):
    with pytest.raises(UserError, match="--tile cuts single images"):
        run_film(predictor.network, OverlapTracking().make(VIDEOS.taxonomy), tiling=Tiling(64))
    with pytest.raises(UserError, match=r"clips\.overlap is 4"):
        ClipWindows(frames=4, overlap=4)
    with pytest.raises(UserError, match=r"clips\.frames is 0"):
        ClipWindows(frames=0)


def test_the_report_draws_the_first_videos(predictor, monkeypatch):
    monkeypatch.setattr(film_strips, "FRAMES", 3)
    (name, strip), second = film_strips.film_strips(predictor, VIDEOS, VIDEOS.videos)
    assert (name, second[0]) == tuple(video.name for video in VIDEOS.videos)
    assert strip.ndim == 3 and strip.dtype == np.uint8


def tensors_alive() -> tuple[int, int]:
    """How many, and their elements; a function of its own, since a list that lives on would hold what it counted."""
    own = [one for one in gc.get_objects() if type(one) in (torch.Tensor, torch.nn.Parameter)]
    return len(own), sum(one.numel() for one in own)


@pytest.mark.parametrize(
    ("recipe", "tracking"),
    [("mask2former_video_nano", OverlapTracking(memory=2)), ("videomt_nano", QueryTracking(memory=2))],
)
def test_a_film_leaves_nothing_behind_but_its_last_window(recipe, tracking):
    """Of frames that went in and maps that came out, by references, not by collecting; and as many tensors as ever."""
    config = make_tiny_config(recipe)
    config.clips = ClipWindows(frames=3, overlap=int(recipe != "videomt_nano"))
    config.merge.object_threshold = config.merge.overlap_threshold = 0.0
    config.evaluation_size = (32, 32)
    torch.manual_seed(3)
    run = run_film(PanopticTask(config, VIDEOS.taxonomy).eval().network, tracking.make(VIDEOS.taxonomy))
    overlap, new = run.windows.overlap, run.windows.frames - run.windows.overlap
    frames, maps, alive = [], [], []
    for number in range(overlap + 4 * new):
        image = squares(number)
        frames.append(weakref.ref(image))
        maps += [weakref.ref(out.panoptic.ids) for out in run.add(image)]
        del image
        assert sum(ref() is not None for ref in frames) <= run.windows.frames
        assert not any(ref() is not None for ref in maps)
        if number + 1 in (overlap + 2 * new, overlap + 4 * new):  # the same place in a window
            alive.append((sum(ref() is not None for ref in frames), *tensors_alive()))
    assert len(maps) == len(frames) and alive[0][0] == overlap
    assert alive[0] == alive[1]
