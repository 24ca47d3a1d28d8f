#!/usr/bin/env bash
# Guess: Pillow gives every photo's pixels as they are stored, and who wants them upright turns them by the EXIF tag.
# In fact TIFF alone comes upright already, with its tag gone after decoding, so that turning by the tag read before
# turns it twice; and an uncompressed grey TIFF that lies on its side, opened by its name, is read with rows of the
# wrong length: other pixels than from the same bytes, without an error. Scans and aerial photos are such files, and
# labels paired with them lie on other pixels.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0
cd "$work"

venv/bin/python - <<'END'
import io
import sys

import PIL
from PIL import Image


def opened(source):
    image = Image.open(source)
    before = image.getexif().get(0x0112)
    image.load()
    rows = [[image.getpixel((x, y)) for x in range(image.width)] for y in range(image.height)]
    return before, image.getexif().get(0x0112), rows


stored = [[6 * y + x for x in range(6)] for y in range(4)]
upright = [[stored[3 - x][y] for x in range(4)] for y in range(6)]  # orientation 6: a quarter turn clockwise
photo = Image.new("L", (6, 4))
photo.putdata([value for row in stored for value in row])
exif = Image.Exif()
exif[0x0112] = 6
photo.save("a.png", exif=exif)
photo.save("a.tif", exif=exif)

png, tif = opened("a.png"), opened("a.tif")
whole = opened(io.BytesIO(open("a.tif", "rb").read()))
print("Pillow", PIL.__version__, "- the tag before and after decoding, and the first row:")
print(f"  PNG                 {png[0]} {png[1]}    {png[2][0]}   as stored: {png[2] == stored}")
print(f"  TIFF from its bytes {whole[0]} {whole[1]} {whole[2][0]}        upright: {whole[2] == upright}")
print(f"  TIFF by its name    {tif[0]} {tif[1]} {tif[2][0]}        upright: {tif[2] == upright}, as stored: {tif[2] == stored}")
turned_alone = png == (6, 6, stored) and whole == (6, None, upright)
sheared = tif[2] not in (upright, stored)
sys.exit(0 if turned_alone and sheared else "the behaviour has changed")
END
