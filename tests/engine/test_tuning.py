"""Thresholds that are found are the best there are, their PQ is the metric's own, and halves are measured crosswise."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from export.tiny_checkpoint import Photos, registered, tiny_checkpoint
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.tuning import Trials, assignments, tune
from pantile.inference.network import Network
from pantile.merge import QueryMergeConfig, SemanticMergeConfig, merge
from pantile.merge.registry import MERGERS
from pantile.merge.searched import searched
from pantile.metrics import PanopticQuality

SIZE = (8, 12)
TAXONOMY = plain_taxonomy(["car", "cat", "sky"], things=["car", "cat"])
CANDIDATES = {"object_threshold": (0.1, 0.3, 0.5, 0.7, 0.8, 0.9), "overlap_threshold": (0.1, 0.5, 0.8, 0.9)}


def scene(seed: int) -> tuple[MaskOutput, Placement, PanopticMap]:
    """A thing on a sky, found with noise, beside queries that are wrong and less sure of themselves."""
    rng = np.random.default_rng(seed)
    ids = np.ones(SIZE, np.int32)
    ids[2:6, 3:8] = 2
    truth = PanopticMap(ids, (Segment(1, 2), Segment(2, int(rng.integers(2)))))
    masks = [ids == 1, ids == 2, *(rng.random(SIZE) < 0.3 for _ in range(3))]
    logits = np.stack([np.where(mask, 4.0, -4.0) + rng.normal(0, 2, SIZE) for mask in masks])
    classes = np.full((5, 4), -4.0)
    for query, (label, sure) in enumerate(
        [(2, 3.0), (truth.segments[1].class_index, 1.0), (0, 0.5), (1, 0.0), (0, -1)]
    ):
        classes[query, [label, 3]] = sure + rng.normal(0, 0.7), 0.0
    tensors = (torch.from_numpy(values).float()[None] for values in (classes, logits))
    return (
        MaskOutput(*tensors, torch.zeros(1, 5, 2), torch.zeros(1, 2, *SIZE), torch.zeros(1, 2, *SIZE)),
        whole(),
        truth,
    )


def whole() -> Placement:
    return Placement(SIZE, SIZE, SIZE)


@pytest.fixture
def trials(tmp_path) -> Trials:
    files = []
    for seed in range(6):
        files.append(tmp_path / f"{seed}.pt")
        torch.save(scene(seed), files[-1])
    zero = torch.zeros(3, 1, 1)
    return Trials(Network(lambda images: None, zero, zero, TAXONOMY, SIZE, QueryMergeConfig()), files)


def by_the_metric(settings: dict, images: range) -> float:
    metric = PanopticQuality(TAXONOMY)
    for seed in images:
        output, placement, truth = scene(seed)
        (prediction,) = merge(output, TAXONOMY, replace(QueryMergeConfig(), **settings), [placement])
        metric.update(prediction.panoptic, truth)
    return metric.compute().all.pq


@pytest.mark.parametrize("images", [range(6), range(0, 6, 2)])
def test_the_value_is_the_metrics_to_the_last_bit(trials, images):
    for settings in ({}, {"object_threshold": 0.5}, {"object_threshold": 0.3, "overlap_threshold": 0.5}):
        assert trials.value(settings, images) == by_the_metric(settings, images)


def test_no_combination_is_better_than_what_is_found(trials):
    found = trials.search(CANDIDATES, range(6))
    combinations = (dict(zip(CANDIDATES, values, strict=True)) for values in itertools.product(*CANDIDATES.values()))
    best = max(by_the_metric(settings, range(6)) for settings in combinations)
    assert trials.value(found, range(6)) == best > trials.value({}, range(6))


def test_each_combination_is_counted_once(trials, monkeypatch):
    counted = []
    count = trials._count
    monkeypatch.setattr(trials, "_count", lambda *given: counted.append(repr(given)) or count(*given))
    for images in (range(6), range(0, 6, 2), range(1, 6, 2)):
        trials.search(CANDIDATES, images)
    assert len(counted) == len(set(counted)) == 6 * len(trials)


def test_thresholds_that_decide_nothing_are_left_alone(trials):
    told = []
    found = trials.search({"chunk_rows": (1, 2, 4, 8, 16)} | CANDIDATES, range(6), told.append)
    assert "chunk_rows" not in found
    assert told and all(line.startswith("PQ ") for line in told)
    assert len(trials) < 25


def test_every_field_that_a_merge_names_takes_every_value():
    named = {merger.config_class for merger in MERGERS.values()}
    assert sum(bool(searched(config_class())) for config_class in named) >= 4
    for config_class in named:
        for name, values in searched(config_class()).items():
            assert sorted(values) == list(values) and len(values) > 1
            for value in values:
                assert type(value) is type(getattr(config_class(), name)) and replace(config_class(), **{name: value})


@pytest.fixture(scope="module")
def checkpoint():
    with registered():
        yield tiny_checkpoint()


def test_a_checkpoint_is_tuned(checkpoint):
    found = tune(checkpoint, Photos(), {"object_threshold": (0.0, 0.5), "overlap_threshold": (0.1, 0.9)})
    assert found.images == len(Photos()) and found.after >= found.before >= 0 and 0 <= found.expected <= 1
    assert all(text.startswith("merge.") for text in assignments(found.settings))


@pytest.mark.parametrize(
    ("candidates", "limit", "sentence"),
    [
        ({"object_treshold": (0.1,)}, None, "merge.object_treshold is no threshold of merge.kind=query_argmax to tune"),
        ({"object_threshold": (0.1, 7.0)}, None, "merge.object_threshold is 7.0: give a fraction"),
        (None, 1, "1 image to tune on: give at least two"),
    ],
)
def test_what_cannot_be_tuned_is_a_sentence(checkpoint, candidates, limit, sentence):
    with pytest.raises(UserError, match=sentence):
        tune(checkpoint, Photos(), candidates, limit)


def test_a_pixel_classifier_has_no_such_thresholds(checkpoint):
    config = replace(checkpoint.config, merge=SemanticMergeConfig())
    with pytest.raises(UserError, match=r"merge\.kind=semantic decides nothing about segments by thresholds"):
        tune(replace(checkpoint, config=config, path=Path("x.safetensors")), Photos())
