"""Images per second and core of the training data path, beside a plain mapper.

    python benchmarks/data_path.py [--crop 641] [--images 12] [--samples 60] [--rounds 3]

Makes COCO-size images (480x640 JPEG, id PNG), then times one process with one thread on the whole COCO recipe:
decode two images, scale, colour jitter, crop, flip, pad, copy-paste. The plain mapper does what mappers usually do:
it resizes the whole image before it crops, expands every segment to a dense boolean mask of the full image, moves
each mask through every step, jitters in floating point and pastes with floating-point masks. Both draw from the same
distributions. Prints the median of the rounds and the ratio.
"""

import argparse
import statistics
import tempfile
import time

import numpy as np
import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as TF
from PIL import Image

from pantile.data import AugmentConfig, CocoPanoptic, PanopticDataset, Scenes, TrainingSamples, write_coco_panoptic


class PlainMapper:
    """Dense masks, floating point, resize before crop."""

    def __init__(self, dataset: PanopticDataset, config: AugmentConfig, seed: int) -> None:
        self.dataset, self.config, self.seed = dataset, config, seed

    def __getitem__(self, index: tuple[int, int]):
        rng = np.random.default_rng([self.seed, index[1]])
        image, masks, classes = self.augmented(index[0], rng, 1.0)
        other, other_masks, other_classes = self.augmented(int(rng.integers(len(self.dataset))), rng, 0.5)
        chosen = torch.from_numpy(rng.random(len(other_masks)) < 0.5)
        chosen |= torch.isin(other_classes, torch.tensor(self.dataset.taxonomy.thing_indices))
        other_masks, other_classes = other_masks[chosen], other_classes[chosen]
        alpha = other_masks.float().sum(0).clamp(max=1)
        image = (other.float() * alpha + image.float() * (1 - alpha)).to(torch.uint8)
        masks = torch.cat([masks.float() * (1 - alpha), other_masks.float()]) > 0.5
        classes = torch.cat([classes, other_classes])
        kept = masks.flatten(1).any(1)
        return image, masks[kept], classes[kept]

    def augmented(self, index: int, rng: np.random.Generator, factor: float):
        pixels, panoptic = self.dataset.load(index)
        segments = [s for s in panoptic.segments if not s.is_crowd]
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
        masks = torch.from_numpy(np.stack([panoptic.ids == s.id for s in segments]))
        classes = torch.tensor([s.class_index for s in segments])
        height, width = self.config.crop
        fit = min(height / image.shape[1], width / image.shape[2])
        scale = rng.uniform(*self.config.scale_range) * factor * fit
        size = [max(round(image.shape[1] * scale), 1), max(round(image.shape[2] * scale), 1)]
        image = TF.resize(image, size, antialias=True)
        masks = F.interpolate(masks[None].to(torch.uint8), size=size, mode="nearest")[0]
        image = self.jitter(image, rng)
        top = int(rng.integers(max(size[0] - height, 0) + 1))
        left = int(rng.integers(max(size[1] - width, 0) + 1))
        image, masks = (t[:, top : top + height, left : left + width] for t in (image, masks))
        if rng.random() < 0.5:
            image, masks = image.flip(-1), masks.flip(-1)
        padding = [0, width - image.shape[2], 0, height - image.shape[1]]
        return F.pad(image, padding, value=127), F.pad(masks, padding).bool(), classes

    def jitter(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        if rng.random() < 0.5:
            image = (image.float() + rng.uniform(-32, 32)).clamp(0, 255).to(torch.uint8)
        if rng.random() < 0.5:
            image = (image.float() * rng.uniform(0.5, 1.5)).clamp(0, 255).to(torch.uint8)
        hue = round(rng.uniform(-0.1, 0.1) * 256) if rng.random() < 0.5 else 0
        saturation = rng.uniform(0.5, 1.5) if rng.random() < 0.5 else 1.0
        if hue or saturation != 1.0:
            picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).convert("HSV")
            hsv = np.array(picture)
            hsv[..., 0] += np.uint8(hue % 256)
            hsv[..., 1] = (hsv[..., 1].astype(np.float32) * saturation).clip(0, 255)
            rgb = np.array(Image.fromarray(hsv, mode="HSV").convert("RGB"))
            image = torch.from_numpy(rgb).permute(2, 0, 1)
        return image


def images_per_second(samples, count: int, length: int) -> float:
    samples[0, 0]
    start = time.process_time()
    for draw in range(count):
        samples[draw % length, draw]
    return count / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crop", type=int, default=641)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = AugmentConfig(crop=(options.crop, options.crop))
    with tempfile.TemporaryDirectory() as folder:
        write_coco_panoptic(Scenes(options.images, size=(480, 640)), folder, "train", image_format="jpg")
        dataset = CocoPanoptic(folder, "train")
        rates: dict[str, list[float]] = {"pantile": [], "plain mapper": []}
        for _ in range(options.rounds):  # interleaved, so that a busy machine slows both
            ours, plain = TrainingSamples(dataset, config, seed=0), PlainMapper(dataset, config, seed=0)
            rates["pantile"].append(images_per_second(ours, options.samples, len(dataset)))
            rates["plain mapper"].append(images_per_second(plain, options.samples, len(dataset)))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        print(f"{name:13s} {medians[name]:6.1f} images/s/core   (rounds: {', '.join(f'{v:.1f}' for v in values)})")
    print(f"ratio         {medians['pantile'] / medians['plain mapper']:6.2f}")


if __name__ == "__main__":
    main()
