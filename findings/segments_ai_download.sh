#!/usr/bin/env bash
# One would guess that the package of Segments.ai gives the bitmaps that were drawn. Its server has them as RGBA, of which
# 24 bits are the id; the package saves a download as an image of 32-bit integers, of which Pillow up to 12 makes a PNG of
# 16 bits: ids above 65535 become 65535, and the package's own export then leaves these objects out. Pillow 13 refuses to
# write such a PNG, and segments-ai, which asks for no version, downloads no label at all.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet segments-ai==1.33.0 pillow==12.3.0
cd "$work"
cat > download.py <<'PYTHON'
import functools
import http.server
import threading
from pathlib import Path

import numpy as np
import PIL
from PIL import Image
from segments.utils import bitmap2file, load_label_bitmap_from_url

drawn = np.array([[0, 1, 2], [70_001, 70_001, 3]], dtype=np.uint32)
Path("served").mkdir(exist_ok=True)
Path("served/bitmap.png").write_bytes(bitmap2file(drawn).read())
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="served")
http.server.SimpleHTTPRequestHandler.log_message = lambda *_: None
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}/bitmap.png"
print(f"segments-ai 1.33.0, Pillow {PIL.__version__}: drawn were the ids {np.unique(drawn).tolist()}")
print("  in memory the package has  ", np.unique(load_label_bitmap_from_url(address)).tolist())
try:
    load_label_bitmap_from_url(address, "saved.png")
    saved = np.unique(np.asarray(Image.open("saved.png"))).tolist()
    print("  in the file that it saves  ", saved)
except OSError as error:
    saved = str(error)
    print("  it saves no file:          ", saved)
wanted = [0, 1, 2, 3, 65535] if PIL.__version__.startswith("12.") else "cannot write mode I as PNG"
assert saved == wanted, f"this changed: {saved}"
PYTHON
"$work/venv/bin/python" -W ignore download.py
"$work/venv/bin/pip" install --quiet pillow==13.0.0
"$work/venv/bin/python" -W ignore download.py
