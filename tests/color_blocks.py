"""Images whose classes are colours, and a network of fixed random kernels that has never learned."""

import numpy as np
import torch

from pantile.contracts.outputs import SemanticOutput
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.inference.network import Network
from pantile.merge.semantic_config import SemanticMergeConfig

CLASSES = 4
TAXONOMY = plain_taxonomy([f"class {k}" for k in range(CLASSES)], things=[])
COLORS = np.array([(220, 40, 40), (40, 200, 60), (50, 70, 230), (210, 200, 40)])


class ColorBlocks:
    """Images of 24 x 32 pixels of three blocks, each of a class's colour with noise."""

    taxonomy = TAXONOMY

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed

    def __len__(self) -> int:
        return self.count

    def name_of(self, index: int) -> str:
        return f"{self.seed}_{index}.png"

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        draw = np.random.default_rng((self.seed, index))
        ids = np.repeat([5, 3, 9, 0], 8)[None].repeat(24, axis=0).astype(np.int32)
        classes = draw.choice(CLASSES, 3, replace=False)
        image = np.zeros((24, 32, 3), np.int64)
        for own, class_index in zip((5, 3, 9), classes, strict=True):
            image[ids == own] = COLORS[class_index]
        noisy = (image + draw.integers(-25, 26, image.shape)).clip(0, 255).astype(np.uint8)
        segments = tuple(Segment(own, int(k)) for own, k in zip((5, 3, 9), classes, strict=True))
        return noisy, PanopticMap(ids, segments)


def random_network() -> Network:
    """Fixed random kernels of 4 x 4 pixels."""
    kernels = torch.randn(16, 3, 4, 4, generator=torch.Generator().manual_seed(0))

    def forward(images: torch.Tensor) -> SemanticOutput:
        embed = torch.nn.functional.conv2d(images, kernels, stride=4).relu()
        return SemanticOutput(embed[:, :CLASSES], embed, torch.zeros(len(images), CLASSES, 16), CLASSES)

    middle = torch.full((3, 1, 1), 128.0)
    return Network(forward, middle, middle / 2, TAXONOMY, (40, 40), SemanticMergeConfig())
