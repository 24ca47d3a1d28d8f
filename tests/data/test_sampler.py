"""The infinite sampler: epochs, restarts and processes."""

from itertools import islice

import pytest

from pantile.contracts.errors import UserError
from pantile.data.sampler import InfiniteSampler


def take(count: int, **options) -> list[tuple[int, int]]:
    draws = list(islice(InfiniteSampler(**options), count))
    assert all(draw.focus is None for draw in draws)
    return [(draw.dataset_index, draw.number) for draw in draws]


def test_each_epoch_is_a_permutation_and_epochs_differ() -> None:
    stream = take(70, length=7, seed=1)
    assert [draw for _, draw in stream] == list(range(70))
    epochs = [tuple(index for index, _ in stream[k : k + 7]) for k in range(0, 70, 7)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len(set(epochs)) > 5


def test_seed_decides() -> None:
    assert take(40, length=9, seed=1) == take(40, length=9, seed=1)
    assert take(40, length=9, seed=1) != take(40, length=9, seed=2)


@pytest.mark.parametrize("start", [0, 1, 6, 7, 29])
def test_start_continues_the_same_stream(start: int) -> None:
    assert take(20, length=7, seed=3, start=start) == take(60, length=7, seed=3)[start : start + 20]


@pytest.mark.parametrize(("world_size", "batch", "start"), [(2, 4, 0), (4, 2, 16), (3, 2, 6)])
def test_processes_see_the_effective_batches_of_one(world_size: int, batch: int, start: int) -> None:
    steps, effective = 5, world_size * batch
    alone = take(steps * effective, length=11, seed=5, start=start)
    shares = [
        take(steps * batch, length=11, seed=5, start=start, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for step in range(steps):
        together = [pair for share in shares for pair in share[step * batch : (step + 1) * batch]]
        assert sorted(together) == sorted(alone[step * effective : (step + 1) * effective])


def test_one_image() -> None:
    assert take(3, length=1) == [(0, 0), (0, 1), (0, 2)]


def test_empty_data_set_is_an_error() -> None:
    with pytest.raises(UserError, match="no images"):
        InfiniteSampler(0)
    with pytest.raises(ValueError, match="rank 2"):
        InfiniteSampler(5, rank=2, world_size=2)
