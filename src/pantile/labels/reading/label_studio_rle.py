"""Label Studio's run lengths of brushes: the bits of an RGBA image, whose alpha is the mask.

32 bits: number of values; 5 bits: bits of a value less 1; four times 4 bits: the sizes that a length may have, less 1.
Then blocks: a bit that says whether a value repeats, two bits that choose the size, the length less 1, and the value,
or so many values.
"""

import numpy as np

from pantile.contracts.errors import UserError

CHANNELS = 4
_SIZES = (3, 4, 8, 16)
_LONGEST = 2**16


def decode_brush(data: bytes, size: tuple[int, int], where: str) -> np.ndarray:
    """The mask of a brush: (H, W) bool, where alpha is not 0.

    Args:
        data: the list of bytes.
        size: (height, width).
        where: for messages.

    Raises:
        UserError: the bits end early, or are of another size.
    """
    height, width = size
    bits = _Bits(data, where)
    total = bits.read(32)
    if total != height * width * CHANNELS:
        raise UserError(
            f"{where} has run lengths of {total} values, not the {height * width * CHANNELS} of a {width}x{height} "
            "image with four channels: export it anew."
        )
    word = bits.read(5) + 1
    sizes = [bits.read(4) + 1 for _ in range(4)]
    values = np.zeros(total, dtype=bool)
    position = 0
    while position < total:
        repeats = bits.read(1)
        length = min(bits.read(sizes[bits.read(2)]) + 1, total - position)
        if repeats:
            values[position : position + length] = bits.read(word) != 0
        else:
            values[position : position + length] = [bits.read(word) != 0 for _ in range(length)]
        position += length
    return values.reshape(height, width, CHANNELS)[..., CHANNELS - 1]


def encode_brush(mask: np.ndarray) -> list[int]:
    """(H, W) bool to the list of bytes; all four channels are 255 inside."""
    flat = np.repeat(mask.ravel(), CHANNELS)
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(np.concatenate([starts, [len(flat)]]))
    bits = [f"{len(flat):032b}", f"{7:05b}", *(f"{size - 1:04b}" for size in _SIZES)]
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        value = "11111111" if flat[start] else "00000000"
        while length > 0:
            run = min(length, _LONGEST)
            choice = next(k for k, size in enumerate(_SIZES) if run <= 2**size)
            bits.append(f"1{choice:02b}{run - 1:0{_SIZES[choice]}b}{value}")
            length -= run
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8))


class _Bits:
    """Whole numbers from bits, most significant first."""

    def __init__(self, data: bytes, where: str) -> None:
        self._data, self._where, self._position = data, where, 0

    def read(self, size: int) -> int:
        first, self._position = self._position, self._position + size
        if self._position > 8 * len(self._data):
            raise UserError(f"{self._where} has run lengths that are cut short: export it anew.")
        last = (self._position + 7) // 8
        number = int.from_bytes(self._data[first // 8 : last])
        return number >> (8 * last - self._position) & ((1 << size) - 1)
