"""Panoptic copy-paste against a loop over pixels."""

import numpy as np
import pytest
import torch

from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data.copy_paste import choose_rows, paste
from pantile.data.label_rows import LabelRows

TAXONOMY = plain_taxonomy(["cat", "dog", "sky", "road"], things=["cat", "dog"])


def random_rows(seed: int, size: tuple[int, int] = (12, 15)) -> LabelRows:
    rng = np.random.default_rng(seed)
    classes = np.array([0, 0, 1, 2, 3, 0, 2])
    crowd = np.array([0, 0, 0, 0, 0, 1, 1], bool)
    kept = rng.permutation(7)[: rng.integers(0, 8)]
    ids = rng.integers(0, len(kept) + 1, size).astype(np.int16)
    return LabelRows(ids, classes[kept], crowd[kept])


def random_image(seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed + 100).integers(0, 256, (3, 12, 15), dtype=np.uint8))


@pytest.mark.parametrize("seed", range(80))
def test_paste_equals_a_loop(seed: int) -> None:
    labels, source = random_rows(seed), random_rows(seed + 1000)
    image, source_image = random_image(seed), random_image(seed + 1000)
    chosen = choose_rows(source, TAXONOMY, np.random.default_rng(seed))
    out, rows = paste(image, labels, source_image, source, chosen, TAXONOMY)

    owner: dict[tuple, int] = {}  # which row must hold all pixels of one origin
    for y, x in np.ndindex(12, 15):
        row = source.ids[y, x] - 1
        pasted = row >= 0 and chosen[row]
        origin = source if pasted else labels
        row = origin.ids[y, x] - 1
        assert torch.equal(out[:, y, x], (source_image if pasted else image)[:, y, x])
        if row < 0:
            assert rows.ids[y, x] == 0
            continue
        new_row = rows.ids[y, x] - 1
        assert rows.classes[new_row] == origin.classes[row]
        assert rows.crowd[new_row] == origin.crowd[row]
        merges = origin.classes[row] >= 2 and not origin.crowd[row]
        key = ("stuff", int(origin.classes[row])) if merges else (pasted, int(row))
        assert owner.setdefault(key, new_row) == new_row
    assert len(set(owner.values())) == len(owner)  # and no two origins share a row


def test_choice_has_all_things_never_crowd_and_any_number_of_stuff() -> None:
    rows = LabelRows(
        np.arange(8, dtype=np.int16)[None], np.array([0, 1, 2, 3, 2, 3, 0]), np.array([0, 0, 0, 0, 0, 0, 1], bool)
    )
    rng = np.random.default_rng(0)
    chosen = np.stack([choose_rows(rows, TAXONOMY, rng) for _ in range(600)])
    assert chosen[:, :2].all()
    assert not chosen[:, 6].any()
    stuff = chosen[:, 2:6]
    assert set(stuff.sum(1).tolist()) == {0, 1, 2, 3, 4}
    # each stuff row is among n of 6 shuffled rows, n uniform in 0..6: half of the time
    assert np.abs(stuff.mean(0) - 0.5).max() < 0.07


def test_rows_without_pixels_are_not_chosen() -> None:
    rows = LabelRows(np.array([[2, 0]], np.int16), np.array([0, 1]), np.zeros(2, bool))
    for seed in range(20):
        assert choose_rows(rows, TAXONOMY, np.random.default_rng(seed)).tolist() == [False, True]


def test_nothing_to_paste() -> None:
    empty = LabelRows(np.zeros((12, 15), np.int16), np.zeros(0, np.int64), np.zeros(0, bool))
    labels, image = random_rows(3), random_image(3)
    chosen = choose_rows(empty, TAXONOMY, np.random.default_rng(0))
    out, rows = paste(image, labels, random_image(4), empty, chosen, TAXONOMY)
    assert out is image
    assert rows is labels
