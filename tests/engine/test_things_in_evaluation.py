"""What an evaluation says of things and instances: every model, the same groups, the score room's numbers."""

import json
import math

import numpy as np
import pytest
import torch
from pycocotools.mask import encode

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.placement import Placement
from pantile.contracts.predictions import Instance, Prediction
from pantile.contracts.taxonomy import Taxonomy
from pantile.data import Scenes
from pantile.engine.meters import ALL_TASKS, Evaluation, Meters
from pantile.engine.task import PanopticTask
from pantile.merge import merge
from pantile.metrics import PanopticQuality, ThingQuality, evaluated_batch, image_quality, map_of_instances
from pantile.metrics.instance_things import InstanceThings
from pantile.recipes import make_recipe
from pantile.score.evidence import ALL_PARTS, evidence_of
from pantile.score.result import Totals
from tiny_runs import NANO_RECIPES

SIZE = (65, 65)
GROUPS = {"panoptic", "panoptic_errors", "thing_pixels", "thing_confusion"}


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return Scenes(3, size=SIZE, seed=3)


def worse(truth: PanopticMap, shift: int) -> PanopticMap:
    """The truth, shifted, with its two first things as one."""
    ids = np.roll(truth.ids, shift, axis=1)
    ids[ids == 2] = 1
    left = set(np.unique(ids).tolist())
    return PanopticMap(ids, tuple(Segment(s.id, s.class_index, score=0.9) for s in truth.segments if s.id in left))


def things_first(truth: PanopticMap, taxonomy: Taxonomy) -> PanopticMap:
    """Ids 1, 2, ... are things."""
    order = sorted(truth.segments, key=lambda s: not taxonomy.classes[s.class_index].is_thing or s.is_crowd)
    table = np.zeros(truth.ids.max() + 1, np.int32)
    for number, segment in enumerate(order, start=1):
        table[segment.id] = number
    rows = tuple(Segment(table[s.id].item(), s.class_index, s.is_crowd) for s in order)
    return PanopticMap(table[truth.ids], rows)


@pytest.fixture(scope="module")
def pairs(scenes) -> list[tuple[PanopticMap, PanopticMap]]:
    truths = [things_first(scenes.load(index)[1], scenes.taxonomy) for index in range(len(scenes))]
    return [(worse(truth, shift), truth) for shift, truth in enumerate(truths)]


def evaluated(taxonomy: Taxonomy, pairs: list, tasks: frozenset = frozenset({"panoptic"})) -> Evaluation:
    meters = Meters(taxonomy, tasks)
    meters.update([Prediction(pred) for pred, _ in pairs], [truth for _, truth in pairs], range(10, 10 + len(pairs)))
    return meters.compute()


def test_the_groups_of_an_evaluation_are_those_of_a_score_of_the_same_maps(scenes, pairs):
    totals = Totals(scenes.taxonomy, ALL_PARTS)
    for index, (pred, truth) in enumerate(pairs):
        totals.add(str(index), evidence_of(pred, truth, scenes.taxonomy, parts=ALL_PARTS))
    score = totals.score(missing=0, unknown=0).to_dict()
    content = evaluated(scenes.taxonomy, pairs).to_dict()
    assert content == {group: score[group] for group in GROUPS}
    assert content["thing_pixels"]["tp"] > 0 and content["thing_confusion"]["share_at_percent"]["50"] > 0


def test_one_comparison_serves_every_measure_of_panoptic_maps(scenes, pairs, monkeypatch):
    compared = []
    compare_maps = evaluated_batch.compare_maps
    monkeypatch.setattr(evaluated_batch, "compare_maps", lambda p, t: compared.append(len(p)) or compare_maps(p, t))
    for module in ("panoptic_errors", "panoptic_quality", "thing_quality", "worst_confused"):
        monkeypatch.setattr(f"pantile.metrics.{module}.compare_maps", None)
    result = evaluated(scenes.taxonomy, pairs)
    monkeypatch.undo()
    alone = PanopticQuality(scenes.taxonomy)
    alone.update([pred for pred, _ in pairs], [truth for _, truth in pairs])
    assert compared == [len(pairs)]
    assert result.quality == alone.compute()
    assert result.per_image == [(10 + n, image_quality(*pair)) for n, pair in enumerate(pairs)]
    assert {index for index, _ in result.confused} == {10, 11, 12}
    assert result.confused == sorted(result.confused, key=lambda row: -row[1])


def test_instances_are_counted_from_their_own_masks(scenes, pairs):
    """Each image's true things as instances, but the map all void; one more instance of a low score."""
    taxonomy = scenes.taxonomy
    meters = Meters(taxonomy, ALL_TASKS)
    by_hand = ThingQuality(taxonomy)
    for index, (_, truth) in enumerate(pairs):
        kept = [s for s in truth.segments if taxonomy.classes[s.class_index].is_thing and not s.is_crowd]
        masks = [np.asfortranarray((truth.ids == s.id).astype(np.uint8)) for s in kept]
        found = [Instance(s.class_index, 0.9, encode(mask)) for s, mask in zip(kept, masks, strict=True)]
        noise = Instance(0, 0.4, encode(np.ones(SIZE, np.uint8, order="F")))
        nothing = PanopticMap(np.zeros(SIZE, np.int32), ())
        meters.update([Prediction(nothing, (noise, *found))], [truth], [index])
        by_hand.update(map_of_instances(found, SIZE), truth)
    result = meters.compute()
    instances, things = result.results["instance_things"].things, result.results["things"]
    assert instances == by_hand.compute()
    assert (instances.accuracy, instances.precision) == (1, 1)
    assert set(instances.curve) == {0} and result.confused == []
    assert things.accuracy == 0 and math.isnan(things.precision)
    group = json.loads(json.dumps(result.to_dict(), allow_nan=False))["instance"]
    assert group["score_threshold"] == 0.5 and group["thing_pixels"]["accuracy"] == 1


@pytest.mark.parametrize("recipe", NANO_RECIPES)
def test_every_model_is_measured_on_the_instance_task(scenes, pairs, recipe):
    """Untrained: the groups are complete, and what does not depend on predictions is right."""
    torch.manual_seed(0)
    config = make_recipe(recipe)
    task = PanopticTask(config, scenes.taxonomy).eval()
    meters = Meters(scenes.taxonomy, ALL_TASKS)
    meters.metrics["instance_things"] = InstanceThings(scenes.taxonomy, score_threshold=0.0)
    with torch.inference_mode():
        output = task(255 * torch.rand(2, 3, *SIZE))
    placements = [Placement(SIZE, SIZE, SIZE)] * 2
    predictions = merge(output, scenes.taxonomy, config.merge, placements, meters.tasks)
    truths = [truth for _, truth in pairs[:2]]
    meters.update(predictions, truths, [0, 1])
    content = meters.compute().to_dict()
    assert content.keys() - {"presence"} == GROUPS | {"instance", "semantic"}
    instance = content["instance"]
    assert {"ap", "ap_small", "ap_medium", "ap_large", "thing_pixels", "thing_confusion"} <= instance.keys()
    things = [
        s for t in truths for s in t.segments if scenes.taxonomy.classes[s.class_index].is_thing and not s.is_crowd
    ]
    area = sum(int((t.ids == s.id).sum()) for t in truths for s in t.segments if s in things)
    assert instance["thing_pixels"]["truth"] == content["thing_pixels"]["truth"] == area > 0
    assert (instance["ap_large"] is None) == all(int((t.ids == s.id).sum()) < 96**2 for t in truths for s in t.segments)


def test_a_data_set_without_things_has_no_numbers_of_things():
    taxonomy = Taxonomy(tuple(c for c in Scenes(1).taxonomy.classes if not c.is_thing))
    sky = PanopticMap(np.ones((4, 4), np.int32), (Segment(1, 0),))
    content = evaluated(taxonomy, [(sky, sky)], ALL_TASKS).to_dict()
    assert content["thing_pixels"]["accuracy"] is None and content["instance"]["thing_pixels"]["accuracy"] is None
