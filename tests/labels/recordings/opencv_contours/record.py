"""Records contours.json: masks, and the outlines that OpenCV finds of them.

::

    pip install opencv-python-headless==5.0.0.93 numpy
    python record.py

The masks are of one piece without holes, so that an outline says all of them. ``contour`` runs through the centres of
the mask's outermost pixels; ``simplified`` is what ``approxPolyDP`` leaves of it (epsilon 1.5), and ``filled`` what
``fillPoly`` makes of that, both as rows of runs [row, first column, last column].
"""

import json
from pathlib import Path

import cv2
import numpy as np

SIZE = (40, 48)


def blob(rng: np.random.Generator) -> np.ndarray:
    noise = cv2.GaussianBlur(rng.normal(size=SIZE), (0, 0), float(rng.uniform(1.2, 5)))
    count, pieces = cv2.connectedComponents((noise > np.quantile(noise, 0.7)).astype(np.uint8), connectivity=4)
    mask = (pieces == 1 + int(rng.integers(count - 1))).astype(np.uint8)
    contour, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.fillPoly(np.zeros(SIZE, np.uint8), contour, 1)  # without its holes


def runs(mask: np.ndarray) -> list[list[int]]:
    found = []
    for row, line in enumerate(np.pad(mask, ((0, 0), (1, 1))).astype(int)):
        steps = np.diff(line)
        found += [
            [row, int(a), int(b) - 1] for a, b in zip(*(np.flatnonzero(s > 0) for s in (steps, -steps)), strict=True)
        ]
    return found


def main() -> None:
    rng, rows = np.random.default_rng(0), []
    while len(rows) < 40:
        mask = blob(rng)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        if len(contours) != 1 or len(contours[0]) < 3:
            continue
        simple = cv2.approxPolyDP(contours[0], 1.5, True)
        row = {"mask": runs(mask), "contour": contours[0][:, 0].tolist()}
        if len(simple) >= 3:
            row |= {
                "simplified": simple[:, 0].tolist(),
                "filled": runs(cv2.fillPoly(np.zeros(SIZE, np.uint8), [simple], 1)),
            }
        rows.append(row)
    content = {"opencv": cv2.__version__, "size": SIZE, "outlines": rows}
    Path(__file__).with_name("contours.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
