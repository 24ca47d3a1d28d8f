"""Predictions that say one segment per class: classes of pixels come first, and nothing is said of single things."""

import pytest
from rich.console import Console
from score_files import edit, scored, write_maps
from test_scoring import moved, random_map

from pantile.cli.score_tables import print_score
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.metrics import SemanticQuality
from pantile.metrics.semantic_quality import semantic_of
from pantile.predict.result import information

TAXONOMY = plain_taxonomy(["cat", "dog", "sky", "road"], things=["cat", "dog"])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    maps = [random_map(seed) for seed in range(3)]
    gt, pred = (write_maps(folder, name, kind, TAXONOMY) for name, kind in (("gt", maps), ("pred", map(moved, maps))))
    return gt, pred, maps


def printed(score) -> str:
    console = Console(width=100, force_terminal=False)
    with console.capture() as capture:
        print_score(score, console)
    return capture.get()


def test_the_mean_iou_is_that_of_an_evaluation(files):
    gt, pred, maps = files
    metric = SemanticQuality(TAXONOMY)
    metric.update([semantic_of(moved(own), TAXONOMY) for own in maps], maps)
    expected = metric.compute()
    found = scored(gt, pred)
    assert found.miou == pytest.approx(expected.miou, abs=1e-12)
    assert found.iou == pytest.approx(expected.per_class, abs=1e-12)
    assert found.to_dict()["semantic"]["miou"] == found.miou


def test_segments_per_class_are_known_from_the_file(files, tmp_path):
    gt, pred, _ = files
    plain = scored(gt, pred)
    assert not plain.per_class and "thing_pixels" in plain.to_dict() and "pixels of things" in printed(plain)
    edit(pred, lambda content: content.update(information(per_class=True)))
    told = scored(gt, pred)
    assert told.per_class and told.quality == plain.quality
    assert plain.to_dict().keys() - told.to_dict().keys() == {"thing_pixels", "thing_confusion"}
    text = printed(told)
    assert 0 < text.index("mIoU") < text.index("IoU ", text.index("mIoU") + 5) < text.index("boundary PQ")
    assert "things" in text and "pixels of things" not in text and "Confused" not in text
