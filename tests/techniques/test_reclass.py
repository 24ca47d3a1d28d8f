"""ReClass against plain loops over equation 3, and the criterion's use of equation 4."""

import math

import pytest
import torch

from pantile.contracts.targets import collate_targets
from pantile.techniques import ReClassConfig
from pantile.techniques.reclass import class_coverage


def activate(logits: torch.Tensor, activation: str, n: int, y: int, x: int) -> float:
    if activation == "sigmoid":
        return 1 / (1 + math.exp(-logits[n, y, x].item()))
    values = [math.exp(v) for v in logits[:, y, x].tolist()]
    return values[n] / sum(values)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_equation_3_pixel_by_pixel(activation):
    generator = torch.Generator().manual_seed(0)
    queries, classes, size = 4, 5, 6
    logits = torch.randn(2, queries, size, size, generator=generator)
    ids = torch.randint(0, 5, (2, size, size), generator=generator)
    # Two things of one class, a stuff class, and a crowd region, which is void; the second image is empty.
    tables = [torch.tensor([3, 3, 0, 1]), torch.tensor([], dtype=torch.int64)]
    crowd = [torch.tensor([False, False, False, True]), torch.tensor([], dtype=torch.bool)]
    ids[1] = 0
    targets = collate_targets(list(ids), tables, crowd, ["a", "b"])

    coverage = class_coverage(logits, targets, classes, activation)

    assert coverage.shape == (2, queries, classes)
    for b in range(2):
        label = {0: None} | {r + 1: None if crowd[b][r] else c for r, c in enumerate(tables[b].tolist())}
        for n in range(queries):
            for c in range(classes):
                covered = area = 0.0
                for y in range(size):
                    for x in range(size):
                        if label[ids[b, y, x].item()] == c:
                            area += 1
                            covered += activate(logits[b], activation, n, y, x)
                assert coverage[b, n, c].item() == pytest.approx(covered / max(1, area), abs=1e-5)


def test_eta_zero_is_absence():
    assert ReClassConfig(eta=0.0).make() is None
