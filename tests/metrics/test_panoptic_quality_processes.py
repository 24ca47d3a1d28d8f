import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

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


def _worker(rank: int, rendezvous: str, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    metric = PanopticQuality(TAXONOMY)
    for pred, gt in images()[rank::2]:
        metric.update(pred, gt)
    result = metric.compute()
    torch.save(result.to_dict(), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_give_the_result_of_one(tmp_path):
    mp.start_processes(_worker, args=(str(tmp_path / "rendezvous"), str(tmp_path)), nprocs=2, start_method="fork")
    one = PanopticQuality(TAXONOMY)
    for pred, gt in images():
        one.update(pred, gt)
    expected = one.compute().to_dict()["panoptic"]
    assert expected["all"]["n"] == 2
    for rank in range(2):
        got = torch.load(tmp_path / f"{rank}.pt")["panoptic"]
        for name, wanted in expected["per_class"].items():
            assert {k: got["per_class"][name][k] for k in ("tp", "fp", "fn")} == {
                k: wanted[k] for k in ("tp", "fp", "fn")
            }
            np.testing.assert_allclose(got["per_class"][name]["pq"], wanted["pq"], rtol=1e-14)
        assert got["all"]["n"] == 2
