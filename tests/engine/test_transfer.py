"""Weights of other classes: rows follow the class names, everything else the tensor names."""

import torch

from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.transfer import transfer
from pantile.models import create_model, kmax_nano_config

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
    old, new = make(OLD, 0), make(OLD, 1, num_queries=7)
    report = transfer(new, OLD, old.state_dict() | {"extra.weight": torch.zeros(2)}, OLD)
    assert report.new == ["cluster_centers"]
    assert report.dropped == ["extra.weight"]
