#!/usr/bin/env bash
# A guess: Pillow either decodes 16-bit colour as 16 bits or refuses it, as it does with modes that it does not have.
# What happens: it gives 8-bit RGB without an error or a warning: of a PNG or an interleaved TIFF the high bytes, of a
# TIFF with one plane per band bytes that are no pixels at all, and of a TIFF of several pages the first.
# Why it matters: aerial, medical and microscope images hold 12 bits in 16. A loader that asks Pillow for RGB trains
# on pictures that are nearly black, and a panoptic PNG (id = R + 256 G + 65536 B) saved with 16 bits loses every id.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3
cd "$work"
"$work/venv/bin/python" - <<'P'
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import PIL
import tifffile
from PIL import Image

warnings.simplefilter("error")
values = np.random.default_rng(0).integers(0, 4096, (24, 32, 3)).astype(np.uint16)  # 12 bits in 16


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
header = struct.pack(">IIBBBBB", 32, 24, 16, 2, 0, 0, 0)
png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
Path("deep.png").write_bytes(png)
tifffile.imwrite("deep.tif", values, photometric="rgb")
tifffile.imwrite("planes.tif", values.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
tifffile.imwrite("pages.tif", (values >> 4).astype(np.uint8)[None].repeat(3, axis=0), photometric="rgb")


def pillow(name):
    with Image.open(name) as image:
        return image.mode, np.asarray(image)


print("Pillow", PIL.__version__)
ok = True
for name in ("deep.png", "deep.tif"):
    mode, pixels = pillow(name)
    high = np.array_equal(pixels, values >> 8)
    print(f"{name}: values to {values.max()}; Pillow: {mode} to {pixels.max()}, the high bytes: {high}")
    ok &= mode == "RGB" and high
mode, pixels = pillow("planes.tif")
match = float((pixels == values >> 8).mean())
print(f"planes.tif: Pillow: {mode}; {match:.0%} of the bytes are the high bytes of their values")
ok &= mode == "RGB" and match < 0.5 and np.array_equal(tifffile.imread("planes.tif").transpose(1, 2, 0), values)
mode, pixels = pillow("pages.tif")
print(f"pages.tif: 3 pages; Pillow: {mode} {pixels.shape}")
ok &= pixels.shape == (24, 32, 3)
raise SystemExit(0 if ok else "Pillow does something else now")
P
