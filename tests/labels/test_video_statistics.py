"""Counts of videos against a loop over pixels, and as ``pantile data stats`` prints them."""

import json

import numpy as np

from pantile.cli.main import main
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.contracts.videos import Video
from pantile.data import Scenes
from pantile.data.video_scenes import VideoScenes
from pantile.labels.statistics import count_labels
from pantile.labels.video_statistics import VideoStatistics

TAXONOMY = plain_taxonomy(["person", "car", "sky"], things=["person", "car"])


def seen(*segments: Segment) -> PanopticMap:
    return PanopticMap(np.array([[s.id for s in segments] or [0]], np.int32), segments)


def test_by_hand():
    person, car, sky, crowd = Segment(5, 0), Segment(9, 1), Segment(2, 2), Segment(7, 0, True)
    counts = VideoStatistics(TAXONOMY, [Video("a", (0, 1, 2)), Video("b", (3,)), Video("c", (4, 6))])
    frames = (seen(person, sky), seen(car, crowd), seen(person), seen(person), seen(), seen(car), seen(sky))
    for index, panoptic in enumerate(frames):
        counts.add(index, panoptic)
    assert counts.frames == [3, 1, 2] and counts.tracks == [2, 1, 0]
    assert sorted(counts.lengths) == [1, 1, 2] and counts.returning == 1
    assert counts.per_class == {"person": 2, "car": 1}  # 5 is another person in b; frame 5 is of no video


def test_generated_videos_against_a_loop():
    data = VideoScenes(2, frames=5, size=(48, 64), seed=3)
    lengths = []
    for video in data.videos:
        maps = [data.load(k)[1] for k in video.frames]
        ids = {s.id for m in maps for s in m.segments if data.taxonomy.classes[s.class_index].is_thing}
        lengths += [sum(bool((m.ids == own).any()) for m in maps) for own in ids]
    counted = count_labels(data).videos
    assert sorted(counted.lengths) == sorted(lengths) and counted.frames == [5, 5]
    assert count_labels(Scenes(1, size=(48, 48))).videos is None


def test_as_typed(tmp_path, capsys):
    assert main(["data", "stats", "video-scenes:2,frames=4,size=64", "--json", str(tmp_path / "s.json")]) == 0
    told = json.loads((tmp_path / "s.json").read_text())["videos"]
    printed = " ".join(capsys.readouterr().out.split())
    assert f"2 videos, {told['tracks']} tracks" in printed and "frames of a track" in printed
    assert f"{told['returning']} tracks leave and come back" in printed
    assert told["videos"] == 2 and told["frames_per_video"]["max"] == 4
    assert sum(told["tracks_per_class"].values()) == told["tracks"] > 0
