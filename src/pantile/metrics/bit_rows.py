"""Masks as rows of bits in 64-bit words, an eighth of their bytes: shifts, intersections, and counts within runs."""

import numpy as np

_WORD = 64


def packed(flags: np.ndarray, width: int) -> np.ndarray:
    """
    Args:
        flags: (H, at most ``width``) bool.
        width: of the rows; what ``flags`` lacks is 0.

    Returns:
        (H, ceil(width / 64)) uint64; the lowest bit of a row's first word is its first flag, and what is left of its
        last word is 0.
    """
    words = -(-width // _WORD)
    row_bytes = np.packbits(flags, axis=1, bitorder="little")
    if row_bytes.shape[1] < 8 * words:
        short, row_bytes = row_bytes, np.zeros((len(flags), 8 * words), np.uint8)
        row_bytes[:, : short.shape[1]] = short
    return row_bytes.view("<u8")


def moved_left(rows: np.ndarray, bits: int) -> np.ndarray:
    """Bit x of a row becomes bit x - ``bits``; 0 comes in from the right."""
    whole, rest = divmod(bits, _WORD)
    moved = np.zeros_like(rows)
    kept = rows[:, whole:]
    np.right_shift(kept, np.uint64(rest), out=moved[:, : kept.shape[1]])
    if rest:
        moved[:, : max(kept.shape[1] - 1, 0)] |= kept[:, 1:] << np.uint64(_WORD - rest)
    return moved


def moved_right(rows: np.ndarray, bits: int) -> np.ndarray:
    """Bit x of a row becomes bit x + ``bits``, which must be within the words; 0 comes in from the left."""
    whole, rest = divmod(bits, _WORD)
    moved = np.zeros_like(rows)
    kept = rows[:, : rows.shape[1] - whole]
    np.left_shift(kept, np.uint64(rest), out=moved[:, whole:])
    if rest:
        moved[:, whole + 1 :] |= kept[:, :-1] >> np.uint64(_WORD - rest)
    return moved


def set_within_runs(rows: np.ndarray, width: int, starts: np.ndarray) -> np.ndarray:
    """How many bits are set in each run of pixels.

    Args:
        rows: (H, ceil(width / 64)) uint64.
        width: of the image.
        starts: (R,) the first pixel of each run in the flattened image, rising from 0; the last run ends with the
            image.

    Returns:
        (R,) int64
    """
    before = np.zeros(rows.size + 1, np.int64)
    np.cumsum(np.bitwise_count(rows).reshape(-1), out=before[1:])
    places = starts + starts // width * (rows.shape[1] * _WORD - width)
    words, bits = places // _WORD, (places % _WORD).astype(np.uint64)
    lower = rows.reshape(-1)[words] & ((np.uint64(1) << bits) - np.uint64(1))
    return np.diff(before[words] + np.bitwise_count(lower), append=before[-1])
