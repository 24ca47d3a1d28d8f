import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pantile.metrics.bit_rows import moved_left, moved_right, packed, set_within_runs


def unpacked(rows: np.ndarray) -> np.ndarray:
    return np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little").astype(bool)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.integers(1, 200), st.integers(0, 200), st.integers(0, 2**32 - 1))
def test_bits_move_and_are_counted_as_flags_are(height, width, by, seed):
    random = np.random.default_rng(seed)
    flags = random.random((height, width)) < 0.7
    rows = packed(flags, width)
    assert rows.shape == (height, -(-width // 64))
    assert np.array_equal(unpacked(rows)[:, :width], flags) and not unpacked(rows)[:, width:].any()

    wide = np.pad(flags, ((0, 0), (0, 400)))
    assert np.array_equal(unpacked(moved_left(rows, by))[:, :width], wide[:, by : by + width])
    by = min(by, 64 * rows.shape[1] - width)
    assert np.array_equal(unpacked(moved_right(rows, by))[:, by : by + width], flags)

    starts = np.unique(np.concatenate([[0], random.integers(0, flags.size, 5)]))
    wanted = np.add.reduceat(flags.reshape(-1).astype(int), starts)
    assert np.array_equal(set_within_runs(rows, width, starts), wanted)


def test_rows_shorter_than_their_width_end_with_zeros():
    assert packed(np.ones((1, 3), bool), 70).tolist() == [[7, 0]]
