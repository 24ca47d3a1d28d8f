"""Images per second and core of large-scale jittering, beside a plain mapper.

    python benchmarks/lsj_data_path.py [--crop 1024] [--images 12] [--samples 24] [--rounds 5]

Makes COCO-size images (480x640 JPEG, id PNG, 10-16 segments), then times one process with one thread on Mask2Former's
COCO recipe: decode, flip, scale 0.1-2.0 of the fit, crop, pad at the bottom and right. The plain mapper takes the
steps of the reference: it resizes the whole image and the whole colour-coded label with Pillow, crops and pads both,
turns colours into ids, and compares the crop with every segment's id. It does not compute the bounding boxes that the
reference adds; ``--boxes`` adds them. Both draw from the same distributions.

Pantile's sample ends in one id map and a table; dense masks are made later, on the device. The second row makes them
here as well, as booleans, to show what that alone would cost. Rounds take turns; each rate is from the median round.
"""

import argparse
import cProfile
import json
import pstats
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from claims import Claims
from pantile.data import AugmentConfig, CocoPanoptic, Scenes, TrainingSamples, write_coco_panoptic
from turns import alternating_medians

SCALE_RANGE = (0.1, 2.0)
TARGET = 2.5  # times the rate of the plain mapper


class PlainMapper:
    """Resize before crop, three-channel labels, a dense mask per segment."""

    def __init__(self, folder: Path, crop: int, with_boxes: bool) -> None:
        panoptic = json.loads((folder / "annotations" / "panoptic_train.json").read_text())
        names = {image["id"]: image["file_name"] for image in panoptic["images"]}
        labels = folder / "annotations" / "panoptic_train"
        self.records = [
            (folder / "train" / names[a["image_id"]], labels / a["file_name"], a["segments_info"])
            for a in panoptic["annotations"]
        ]
        self.crop, self.with_boxes = crop, with_boxes

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: tuple[int, int]):
        rng = np.random.default_rng([0, index[1]])
        image_path, label_path, segments = self.records[index[0]]
        image = np.asarray(Image.open(image_path).convert("RGB"))
        flipped = rng.random() < 0.5
        target = rng.uniform(*SCALE_RANGE) * self.crop
        scale = min(target / image.shape[0], target / image.shape[1])
        size = tuple(max(round(length * scale), 1) for length in image.shape[:2])
        offset = tuple(int(rng.integers(max(length - self.crop, 0) + 1)) for length in size)
        image = self.transform(image, flipped, size, offset, Image.Resampling.BILINEAR, fill=128)
        label = np.asarray(Image.open(label_path).convert("RGB"))
        label = self.transform(label, flipped, size, offset, Image.Resampling.NEAREST, fill=0).astype(np.uint32)
        ids = label[..., 0] + 256 * label[..., 1] + 256 * 256 * label[..., 2]
        segments = [s for s in segments if not s["iscrowd"]]
        classes = torch.tensor([s["category_id"] for s in segments])
        masks = torch.stack([torch.from_numpy(ids == s["id"]) for s in segments])
        boxes = bounding_boxes(masks) if self.with_boxes else None
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), masks, classes, boxes

    def transform(self, pixels, flipped: bool, size, offset, filter_: Image.Resampling, fill: int) -> np.ndarray:
        if flipped:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
        pixels = np.asarray(Image.fromarray(pixels).resize(size[::-1], filter_))
        pixels = pixels[offset[0] : offset[0] + self.crop, offset[1] : offset[1] + self.crop]
        padding = [(0, self.crop - pixels.shape[0]), (0, self.crop - pixels.shape[1]), (0, 0)]
        return np.pad(pixels, padding, mode="constant", constant_values=fill)


def bounding_boxes(masks: torch.Tensor) -> torch.Tensor:
    """(N, 4) float32 of (left, top, right, bottom), by projecting every mask on both axes."""
    boxes = torch.zeros(len(masks), 4)
    columns, rows = masks.any(dim=1), masks.any(dim=2)
    for box, x, y in zip(boxes, columns, rows, strict=True):
        x, y = x.nonzero()[:, 0], y.nonzero()[:, 0]
        if len(x):
            box[:] = torch.tensor([x[0], y[0], x[-1] + 1, y[-1] + 1])
    return boxes


class WithDenseMasks:
    """Pantile's samples with a boolean mask per target."""

    def __init__(self, samples: TrainingSamples) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: tuple[int, int]):
        sample = self.samples[index]
        rows = torch.arange(1, len(sample.classes) + 1, dtype=torch.int16)
        return sample, sample.ids == rows[:, None, None]


def lsj_config(crop: int) -> AugmentConfig:
    """Mask2Former's COCO recipe."""
    return AugmentConfig(
        crop=(crop, crop),
        scale_range=SCALE_RANGE,
        pad_position="bottom_right",
        ssd_jitter=False,
        copy_paste=0.0,
        redraws=0,
    )


def run(samples, count: int) -> None:
    for draw in range(count):
        samples[draw % len(samples), draw]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crop", type=int, default=1024)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--samples", type=int, default=24, help="per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--boxes", action="store_true", help="the plain mapper also computes bounding boxes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_coco_panoptic(Scenes(options.images, size=(480, 640)), folder, "train", image_format="jpg")
        ours = TrainingSamples(CocoPanoptic(folder, "train"), lsj_config(options.crop))
        kinds = {
            "pantile": ours,
            "pantile + dense masks": WithDenseMasks(ours),
            "plain mapper": PlainMapper(Path(folder), options.crop, options.boxes),
        }
        calls = {name: lambda samples=samples: run(samples, options.samples) for name, samples in kinds.items()}
        seconds = alternating_medians(calls, options.rounds)
        for name, value in seconds.items():
            print(f"{name:22s} {options.samples / value:6.1f} images/s/core   {1e3 * value / options.samples:6.1f} ms")
        ratio = seconds["plain mapper"] / seconds["pantile"]
        claims = Claims()
        claims.at_least("images per second, pantile / plain mapper", ratio, TARGET)
        if ratio < TARGET:
            with cProfile.Profile() as profile:
                calls["pantile"]()
            pstats.Stats(profile).sort_stats("tottime").print_stats(12)
        claims.finish()


if __name__ == "__main__":
    main()
