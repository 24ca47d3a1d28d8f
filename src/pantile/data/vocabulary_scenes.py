"""VocabularyScenes: generated panoptic images of many classes, as long-tailed as large vocabularies are.

An image shows two to four classes of stuff and four to nine classes of things of which each occurs once or twice.
Classes are drawn by Zipf's law, weight 1 / (rank + 2) with the class index as rank, and in every image one of many
themes, a tenth of the classes, is drawn far more often: what occurs together in a place. Image i of (seed, split) is
always the same image.
"""

import zlib

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data.samples import Samples
from pantile.data.scene_canvas import Canvas, Ground, Thing
from pantile.data.vocabulary import made_up_classes

THEMES = 10
THEME_WEIGHT = 12.0  # of classes of the image's theme, times their own


class VocabularyScenes(Samples):
    """Generated scenes of any number of classes.

    Args:
        length: number of images.
        classes: K, see ``made_up_classes``; class 0 is the most frequent.
        size: (height, width) in pixels.
        seed: another seed gives other images of the same classes.
        split: so does another split.
        void_probability: share of the images with an unlabelled patch.

    Raises:
        UserError: a size below 16, or more classes than there are.
    """

    def __init__(
        self,
        length: int = 1000,
        classes: int = 200,
        size: tuple[int, int] = (257, 257),
        seed: int = 0,
        split: str = "train",
        void_probability: float = 0.3,
    ) -> None:
        if min(size) < 16:
            raise UserError(f"The size of generated scenes is {size}: height and width must be at least 16.")
        self._classes = made_up_classes(classes)
        names = [own.name for own in self._classes]
        self.taxonomy = plain_taxonomy(names, things=[own.name for own in self._classes if own.is_thing])
        self._weights = 1 / (np.arange(classes) + 2)
        self.length = length
        self.size = (int(size[0]), int(size[1]))
        self.seed = seed
        self.split = split
        self.void_probability = void_probability

    def __len__(self) -> int:
        return self.length

    def name_of(self, index: int) -> str:
        return f"scene_{self.split}_{index:06d}.png"

    def image_id(self, index: int) -> int:
        return index + 1

    def segment_counts(self) -> list[int]:
        return []

    def load_image(self, index: int) -> np.ndarray:
        return self.load(index)[0]

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        if not 0 <= index < self.length:
            raise IndexError(f"image {index} of {self.length}")
        rng = np.random.default_rng([self.seed, zlib.crc32(self.split.encode()), index])
        theme = int(rng.integers(THEMES))
        canvas = Canvas(rng, self.size)
        grounds = self._draw(rng, self.taxonomy.stuff_indices, int(rng.integers(2, 5)), theme)
        canvas.paint_grounds([Ground(k, self._classes[k].look, self._classes[k].color) for k in grounds])
        if rng.random() < self.void_probability:
            canvas.paint_void_patch()
        drawn = self._draw(rng, self.taxonomy.thing_indices, int(rng.integers(4, 10)), theme)
        things = [self._thing(rng, k) for k in drawn for _ in range(rng.integers(1, 3))]
        for thing in sorted(things, key=lambda thing: -thing.radius * rng.uniform(0.5, 1.5)):
            canvas.paint_thing(thing, canvas.new_segment(thing.class_index))
        return canvas.finish()

    def _draw(self, rng: np.random.Generator, among: tuple[int, ...], count: int, theme: int) -> list[int]:
        """Different class indices."""
        indices = np.array(among)
        weights = self._weights[indices] * np.where(np.arange(len(indices)) % THEMES == theme, THEME_WEIGHT, 1.0)
        count = min(count, len(indices))
        return rng.choice(indices, count, replace=False, p=weights / weights.sum()).tolist()

    def _thing(self, rng: np.random.Generator, class_index: int) -> Thing:
        own = self._classes[class_index]
        smallest = own.look.min_diameter / 2
        largest = max(min(self.size) / 6, smallest + 1)
        return Thing(
            class_index,
            own.look,
            center=(rng.uniform(0, self.size[0]), rng.uniform(0, self.size[1])),
            radius=float(np.exp(rng.uniform(np.log(smallest), np.log(largest)))),
            angle=rng.uniform(0, 2 * np.pi),
            color=own.color(rng),
            outlined=False,
        )
