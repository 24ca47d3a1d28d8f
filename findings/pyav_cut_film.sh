#!/usr/bin/env bash
# One would guess that a film that was cut off while it was copied ends in an error. Of PyAV's containers only some do:
# a Matroska or AVI file of which 40 % are missing decodes to a shorter film without a word, and every score over its
# frames is one over a part of them. What tells is the header: the duration of a Matroska file, the number of frames of
# an AVI. (A transport stream has neither.)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet av==18.1.0 numpy
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

print(f"PyAV {av.__version__}: films of 40 frames, 1.6 seconds, of which the last 40 % of the bytes are missing")
for name in ("film.mkv", "film.avi"):
    with av.open(name, "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 96, 64, "yuv420p", 5
        for number in range(40):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 5 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    content = Path(name).read_bytes()
    Path(name).write_bytes(content[: int(0.6 * len(content))])
    with av.open(name) as container:
        stream = container.streams.video[0]
        told = f"{container.duration / av.time_base:.2f} s, {stream.frames or 'no'} frames listed"
        decoded = sum(1 for _ in container.decode(stream))
    print(f"  {name}: {decoded} frames decode, no error; its header says {told}")
    assert 0 < decoded < 40, f"this changed: {name} gives {decoded} frames"
PYTHON
