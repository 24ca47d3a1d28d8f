import numpy as np

from gloo_processes import in_processes
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.metrics import PanopticQuality

TAXONOMY = plain_taxonomy(["cat", "sky"], things=["cat"])


def images() -> list[tuple[PanopticMap, PanopticMap]]:
    """Five pairs, of which processes get three and two."""
    random = np.random.default_rng(0)
    pairs = []
    for _ in range(5):
        ids = np.repeat(random.integers(0, 3, (4, 2)), 8, axis=1).astype(np.int32)
        moved = np.roll(ids, 2, axis=1)
        pairs.append((_map(moved), _map(ids)))
    return pairs


def _map(ids: np.ndarray) -> PanopticMap:
    return PanopticMap(ids, tuple(Segment(int(i), int(i) % 2) for i in np.unique(ids) if i))


def _share(rank: int) -> dict:
    metric = PanopticQuality(TAXONOMY)
    for pred, gt in images()[rank::2]:
        metric.update(pred, gt)
    return metric.compute().to_dict()


def test_two_processes_give_the_result_of_one():
    one = PanopticQuality(TAXONOMY)
    for pred, gt in images():
        one.update(pred, gt)
    expected = one.compute().to_dict()["panoptic"]
    assert expected["all"]["n"] == 2
    for result in in_processes(_share):
        got = result["panoptic"]
        for name, wanted in expected["per_class"].items():
            assert {k: got["per_class"][name][k] for k in ("tp", "fp", "fn")} == {
                k: wanted[k] for k in ("tp", "fp", "fn")
            }
            np.testing.assert_allclose(got["per_class"][name]["pq"], wanted["pq"], rtol=1e-14)
        assert got["all"]["n"] == 2
