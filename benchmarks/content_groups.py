"""Crops of one photo that `data split` keeps together: by all pairs, and by details as with many images.

    python benchmarks/content_groups.py DATA/facades/train [--crops 4] [--photos 200]

Every second photo gives several crops of 0.45 to 0.8 of its sides, a fifth of them at half the size, the others one;
all are saved as JPEG of quality 60 to 95. Two crops should be in one group where they share at least a quarter of the
smaller one's pixels. Prints how many of these pairs are, how many pairs of other photos are too, and processor time.

Claims: details find at least nine tenths of what all pairs find, join fewer other photos, and take less time.
"""

import argparse
import io
import time
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from claims import Claims
from pantile.labels.splitting import content_groups

SHARED = 0.25  # of the smaller crop
QUALITY = (60, 96)
SIDES = (0.45, 0.8)


@dataclass(frozen=True)
class Crop:
    """
    Attributes:
        photo: its number.
        box: left, top, right, bottom in it.
        image: (H, W, 3) uint8.
    """

    photo: int
    box: tuple[int, int, int, int]
    image: np.ndarray

    def shares(self, other: "Crop") -> bool:
        if self.photo != other.photo:
            return False
        sides = [min(self.box[k + 2], other.box[k + 2]) - max(self.box[k], other.box[k]) for k in (0, 1)]
        smaller = min((c.box[2] - c.box[0]) * (c.box[3] - c.box[1]) for c in (self, other))
        return min(sides) > 0 and sides[0] * sides[1] >= SHARED * smaller


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos_folder", type=Path)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--crops", type=int, default=4)
    args = parser.parse_args()
    crops = list(crops_of(sorted(args.photos_folder.glob("*.jpg"))[: args.photos], args.crops))
    pairs = list(combinations(range(len(crops)), 2))
    wanted = {(a, b) for a, b in pairs if crops[a].shares(crops[b])}
    other = {(a, b) for a, b in pairs if crops[a].photo != crops[b].photo}
    print(f"{len(crops)} crops, {len(wanted)} pairs that share at least {SHARED:.0%} of the smaller one\n")
    print("| | of these together | pairs of other photos together | seconds |\n|---|---|---|---|")
    found, joined, seconds = {}, {}, {}
    for way, limit in (("all pairs", len(crops)), ("details", 0)):
        content_groups.ALL_PAIRS = limit
        groups = content_groups.Groups(len(crops))
        start = time.process_time()
        content_groups.join_by_content(groups, lambda k: crops[k].image, [c.image.shape[:2] for c in crops])
        seconds[way] = time.process_time() - start
        roots = [groups.root(k) for k in range(len(crops))]
        found[way] = sum(roots[a] == roots[b] for a, b in wanted)
        joined[way] = sum(roots[a] == roots[b] for a, b in other)
        print(f"| {way} | {found[way]} ({found[way] / len(wanted):.1%}) | {joined[way]} | {seconds[way]:.1f} |")
    print()
    claims = Claims()
    claims.at_least("found by details, of what all pairs find", found["details"] / found["all pairs"], 0.9)
    claims.at_most("other photos joined, of all pairs'", joined["details"] / max(1, joined["all pairs"]), 1)
    claims.at_most("time, of all pairs'", seconds["details"] / seconds["all pairs"], 1)
    claims.finish()


def crops_of(paths: list[Path], count: int) -> list[Crop]:
    rng = np.random.default_rng(0)
    crops = []
    for photo, path in enumerate(paths):
        with Image.open(path) as image:
            whole = image.convert("RGB")
        for _ in range(count if photo % 2 == 0 else 1):
            width, height = (int(side * rng.uniform(*SIDES)) for side in whole.size)
            left, top = (int(rng.integers(0, free + 1)) for free in (whole.width - width, whole.height - height))
            box = (left, top, left + width, top + height)
            crop = whole.crop(box)
            if rng.random() < 0.2:
                crop = crop.resize((width // 2, height // 2), Image.Resampling.BICUBIC)
            file = io.BytesIO()
            crop.save(file, "JPEG", quality=int(rng.integers(*QUALITY)))
            crops.append(Crop(photo, box, np.asarray(Image.open(file))))
    return crops


if __name__ == "__main__":
    main()
