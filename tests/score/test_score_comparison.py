"""Several predictions of one ground truth: the ground truth is read once, differences and intervals are right."""

import json
import math

import numpy as np
import pytest
from score_files import edit, scored, write_maps

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.score import CocoMaps, Job
from pantile.score.comparison import compare_predictions, sampled_qualities
from pantile.score.result import ImageCounts
from pantile.score.sources import CocoMaps as Source

TAXONOMY = plain_taxonomy(["cat", "dog", "sky", "road"], things=["cat", "dog"])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Ground truth of 20 maps, the same as a prediction, and one that calls the cats of the last images dogs."""
    folder = tmp_path_factory.mktemp("comparison")
    maps = []
    for seed in range(20):
        ids = np.kron(np.random.default_rng(seed).integers(1, 4, (3, 4)), np.ones((4, 4), int)).astype(np.int32)
        maps.append(PanopticMap(ids, tuple(Segment(int(i), int(i) - 1) for i in np.unique(ids))))
    paths = [write_maps(folder, name, maps, TAXONOMY) for name in ("gt", "a", "b")]

    def rename(content: dict) -> None:
        for annotation in content["annotations"][15:]:
            for segment in annotation["segments_info"]:
                segment["category_id"] = 2 if segment["category_id"] == 1 else segment["category_id"]

    edit(paths[2], rename)
    return paths


@pytest.fixture(scope="module")
def comparison(files):
    return compared(files)


def compared(files, workers: int = 1):
    truth = CocoMaps(files[0])
    jobs = [Job(truth, CocoMaps(path, taxonomy=truth.taxonomy), parts=("pq",)) for path in files[1:]]
    return compare_predictions(jobs, ["a", "b"], workers)


def test_each_score_is_that_of_the_prediction_alone(files, comparison):
    for path, score in zip(files[1:], comparison.scores, strict=True):
        alone = scored(files[0], path)
        assert (score.quality, score.worst) == (alone.quality, alone.worst)


def test_differences_are_those_of_the_scores_and_intervals_hold_them(comparison):
    for group in ("all", "things", "stuff"):
        values = [getattr(score.quality, group).pq for score in comparison.scores]
        (delta,) = comparison.deltas[group]
        assert [row.value for row in comparison.groups[group]] == values
        assert delta.value == values[1] - values[0] and delta.low <= delta.value <= delta.high
    cats, dogs = comparison.class_deltas["cat"][0], comparison.class_deltas["dog"][0]
    assert cats.low < cats.value < cats.high < 0 and dogs.value < 0
    assert comparison.class_deltas["sky"][0] == (0, 0, 0)
    assert math.isnan(comparison.class_deltas["road"][0].value)
    assert [name for name, _ in comparison.strongest_classes()][-1] == "sky"


def test_the_images_that_changed_are_named_and_no_others(comparison):
    assert sorted(image.index for image in comparison.changed) == [15, 16, 17, 18, 19]
    changes = [image.change for image in comparison.changed]
    assert changes == sorted(changes, reverse=True) and changes[-1] > 0


def test_neither_workers_nor_another_call_change_a_bit(files, comparison):
    assert compared(files, workers=2).to_dict() == comparison.to_dict()
    json.dumps(comparison.to_dict(), allow_nan=False)


def test_the_ground_truth_is_read_once(files, monkeypatch):
    read = []
    load = Source.load
    monkeypatch.setattr(
        Source, "load", lambda self, index: read.append(self.path(index).parent.name) or load(self, index)
    )
    compared(files)
    assert [read.count(name) for name in ("gt", "a", "b")] == [20, 20, 20]


def test_samples_draw_images_and_add_up_their_counts():
    """Of two images, one right and one wrong, a draw has both, or one of them twice."""
    right, wrong = (ImageCounts("", 0.0, {0: row}) for row in ((1.0, 1, 0, 0), (0.0, 0, 1, 1)))
    sampled = sampled_qualities([[right, wrong]], TAXONOMY, samples=2000)
    values, numbers = np.unique(sampled[0], return_counts=True)
    assert values.tolist() == [0, 0.5, 1]
    assert np.allclose(numbers / 2000, [0.25, 0.5, 0.25], atol=0.04)
    assert np.array_equal(sampled["all"], sampled[0]) and np.isnan(sampled["stuff"]).all()
