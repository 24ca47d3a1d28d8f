"""Weights of other classes and query counts: rows follow the class names, everything else the tensor names."""

from dataclasses import replace

import pytest
import torch
from rich.console import Console

from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.transfer import transfer
from pantile.models import (
    create_model,
    kmax_nano_config,
    mask2former_nano_config,
    maskformer_nano_config,
    panoptic_fcn_nano_config,
)

OLD = plain_taxonomy(["road", "car", "person"], things=["car", "person"])
NEW = plain_taxonomy(["person", "tree", "road", "lamp"], things=["person", "lamp"])


def make(taxonomy, seed, **changes):
    torch.manual_seed(seed)
    config = kmax_nano_config()
    for name, value in changes.items():
        setattr(config, name, value)
    return create_model(config, len(taxonomy))


def test_rows_follow_the_class_names():
    old, new = make(OLD, 0), make(NEW, 1)
    before = {name: tensor.clone() for name, tensor in new.state_dict().items()}
    report = transfer(new, NEW, old.state_dict(), OLD)
    heads = new.class_heads()
    assert heads and set(report.adapted) == heads
    given, now = old.state_dict(), new.state_dict()
    for name in heads:
        assert torch.equal(now[name][0], given[name][2])  # person
        assert torch.equal(now[name][2], given[name][0])  # road
        assert torch.equal(now[name][1], before[name][1])  # tree is new
        assert torch.equal(now[name][-1], given[name][-1])  # no-object, or void
    for name in set(now) - heads:
        assert torch.equal(now[name], given[name]), name
    assert (report.kept_classes, report.new_classes, report.dropped_classes) == (
        ["person", "road"],
        ["tree", "lamp"],
        ["car"],
    )
    assert not report.new and not report.dropped


def test_same_classes_load_everything():
    old, new = make(OLD, 0), make(OLD, 1)
    report = transfer(new, OLD, old.state_dict(), OLD)
    assert len(report.loaded) == len(new.state_dict()) and not report.adapted
    assert all(torch.equal(a, b) for a, b in zip(new.state_dict().values(), old.state_dict().values(), strict=True))


def test_other_shapes_stay_new_and_left_overs_are_named():
    old, new = make(OLD, 0), make(OLD, 1)
    before = new.cluster_centers.clone()
    given = old.state_dict() | {"extra.weight": torch.zeros(2), "cluster_centers": torch.zeros(5, 7)}
    report = transfer(new, OLD, given, OLD)
    assert report.new == ["cluster_centers"] and torch.equal(new.cluster_centers, before)
    assert report.dropped == ["extra.weight"]
    assert report.queries is None


QUERIES = [
    (kmax_nano_config(), {"cluster_centers": 1}),
    (mask2former_nano_config(), {"query_content": 0, "query_position": 0}),
    (maskformer_nano_config(), {"query_position": 0}),
]


@pytest.mark.parametrize(("config", "tensors"), QUERIES, ids=lambda value: getattr(value, "architecture", ""))
@pytest.mark.parametrize(("given_count", "own_count"), [(12, 8), (8, 12)])
def test_queries_of_another_number_are_cut_or_extended(config, tensors, given_count, own_count):
    torch.manual_seed(0)
    old = create_model(replace(config, num_queries=given_count), len(OLD)).state_dict()
    model = create_model(replace(config, num_queries=own_count), len(NEW))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    report = transfer(model, NEW, old, OLD)
    kept = min(given_count, own_count)
    own = model.state_dict()
    for name, dim in tensors.items():
        assert own[name].shape[dim] == own_count
        for query in range(own_count):
            expected = old[name] if query < kept else before[name]
            assert torch.equal(own[name].select(dim, query), expected.select(dim, query)), (name, query)
    assert set(report.resized) == set(tensors) and not report.new and not report.dropped
    assert set(report.loaded) == own.keys() - set(tensors) - model.class_heads()


def test_the_table_tells_what_became_of_the_queries():
    old = create_model(replace(mask2former_nano_config(), num_queries=8), len(OLD)).state_dict()
    model = create_model(replace(mask2former_nano_config(), num_queries=11), len(OLD))
    console = Console(width=160)
    with console.capture() as capture:
        console.print(transfer(model, OLD, old, OLD).table())
    assert "8 -> 11" in capture.get() and "the first 8 are kept, the other 3 are new" in capture.get()
    assert "query_content (1), query_position (1)" in capture.get()


def test_heads_with_rows_of_their_own_follow_the_class_names():
    """Panoptic FCN: things and stuff have separate channels, and a class may change sides."""
    both = [create_model(panoptic_fcn_nano_config(), len(t), [c.is_thing for c in t.classes]) for t in (OLD, NEW)]
    old, new = both
    before = {name: tensor.clone() for name, tensor in new.state_dict().items()}
    report = transfer(new, NEW, old.state_dict(), OLD)
    assert set(report.adapted) == new.class_heads()
    given, now = old.state_dict(), new.state_dict()
    things, stuff = now["position_head.things.bias"], now["position_head.stuff.weight"]
    assert torch.equal(things[0], given["position_head.things.bias"][1])  # person
    assert torch.equal(things[1], before["position_head.things.bias"][1])  # lamp is new
    assert torch.equal(stuff[0], given["position_head.stuff.weight"][0])  # all things
    assert torch.equal(stuff[2], given["position_head.stuff.weight"][1])  # road
    assert torch.equal(stuff[1], before["position_head.stuff.weight"][1])  # tree is new
    flipped = plain_taxonomy(OLD.names, things=["car"])
    report = transfer(create_model(panoptic_fcn_nano_config(), 3, [False, True, False]), flipped, given, OLD)
    assert report.adapted or report.new  # the same names, but not the same rows
