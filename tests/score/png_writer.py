"""PNGs of every kind, written plainly by the specification: colour types, depths, filters and Adam7 passes."""

import struct
import zlib
from collections.abc import Iterable

import numpy as np

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
KINDS = (
    [(0, b) for b in (1, 2, 4, 8, 16)] + [(3, b) for b in (1, 2, 4, 8)] + [(c, b) for c in (2, 4, 6) for b in (8, 16)]
)
_ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def filtered(rows: np.ndarray, step: int, filters: Iterable[int]) -> bytes:
    """(H, B) uint8 rows; ``step`` bytes to the pixel on the left; a filter 0..4 for each row."""
    above, lines = np.zeros(rows.shape[1], int), []
    for row, kind in zip(rows.astype(int), filters, strict=True):
        left, corner = (np.concatenate([np.zeros(step, int), line])[: row.size] for line in (row, above))
        near = left + above - corner
        distances = np.stack([abs(near - left), abs(near - above), abs(near - corner)])
        paeth = np.choose(distances.argmin(0), [left, above, corner])  # the first of equals, as it should be
        guess = [0 * row, left, above, (left + above) // 2, paeth][kind]
        lines.append(bytes([kind]) + ((row - guess) % 256).astype(np.uint8).tobytes())
        above = row
    return b"".join(lines)


def png_bytes(
    samples: np.ndarray,
    colour: int,
    bits: int,
    generator: np.random.Generator,
    interlaced: bool = False,
    pieces: int = 1,
    ancillary: bytes = b"",
) -> bytes:
    """(H, W, C) samples as a PNG with a filter of its own for each row, the pixels in so many IDAT chunks."""
    stream = b""
    passes = _ADAM7 if interlaced else [(0, 0, 1, 1)]
    for top, left, down, right in passes:
        part = samples[top::down, left::right]
        if part.size:
            flat = part.reshape(len(part), -1)
            if bits == 16:
                rows = flat.astype(">u2").view(np.uint8)
            elif bits == 8:
                rows = flat.astype(np.uint8)
            else:
                places = (flat[..., None] >> np.arange(bits - 1, -1, -1)) & 1
                rows = np.packbits(places.reshape(len(flat), -1).astype(bool), axis=1)
            step = max(1, CHANNELS[colour] * bits // 8)
            stream += filtered(rows, step, generator.integers(0, 5, len(rows)).tolist())
    packed = zlib.compress(stream, int(generator.integers(0, 10)))
    cuts = np.sort(generator.integers(0, len(packed), pieces - 1)).tolist()
    bodies = [packed[a:b] for a, b in zip([0, *cuts], [*cuts, len(packed)], strict=True)]
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], bits, colour, 0, 0, interlaced)
    palette = chunk(b"PLTE", generator.bytes(3 * 2**bits)) if colour == 3 else b""
    pixels = b"".join(chunk(b"IDAT", body) for body in bodies)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + ancillary + palette + pixels + chunk(b"IEND", b"")
