"""Crowd of a data set, counted: regions of things that nobody separated, which no model learns and PQ ignores.

A few are normal. A class that has nothing else, or a set whose things are mostly crowd, usually comes from a tool that
writes ``iscrowd`` 1 for every mask.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pantile.contracts.panoptic import Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.dataset import PanopticDataset
from pantile.data.label_rows import count_pixels
from pantile.data.subset import Subset

MOSTLY = 0.5  # of the regions of things, or of their pixels
LOOKED_AT = 32  # images of a data set that has no table of its segments


@dataclass
class CrowdCounts:
    """
    Attributes:
        taxonomy: the classes.
        regions, pixels: (class index, crowd or not) to a number; pixels stay 0 where they are not known.
    """

    taxonomy: Taxonomy
    regions: Counter = field(default_factory=Counter)
    pixels: Counter = field(default_factory=Counter)

    def add(self, segments: Iterable[Segment], areas: Mapping[int, int] | None = None) -> None:
        """The segments of one image; ``areas`` by id."""
        for segment in segments:
            self.count(segment.class_index, segment.is_crowd, 1, areas.get(segment.id, 0) if areas else 0)

    def count(self, class_index: int, is_crowd: bool, regions: int, pixels: int) -> None:
        self.regions[class_index, is_crowd] += regions
        self.pixels[class_index, is_crowd] += pixels

    def of(self, class_index: int) -> tuple[int, int]:
        """Crowd regions of a class, and their pixels."""
        return self.regions[class_index, True], self.pixels[class_index, True]

    @property
    def only_crowd(self) -> list[str]:
        """Names of the things that occur, but only as crowd."""
        return [self._name(k) for k in self.taxonomy.thing_indices if self._only(k)]

    @property
    def stuff(self) -> list[str]:
        """Names of the stuff classes that have crowd, which stuff never is."""
        return [self._name(k) for k in self.taxonomy.stuff_indices if self.regions[k, True]]

    @property
    def mostly(self) -> str | None:
        """The share of crowd among the things, in words, where it is more than ``MOSTLY``."""
        told = []
        for counts, what in ((self.regions, "regions"), (self.pixels, "pixels")):
            alone, crowd = (sum(counts[k, own] for k in self.taxonomy.thing_indices) for own in (False, True))
            told.append((crowd / (alone + crowd) if crowd else 0.0, what))
        if max(told)[0] <= MOSTLY:
            return None
        shares = " and ".join(f"{share:.0%} of the {what}" for share, what in told if share)
        return f"{shares} of things are crowd"

    def warnings(self, remedy: str) -> list[str]:
        """One sentence each; ``remedy`` says what to do about crowd of things."""
        found = []
        if self.mostly:
            found.append(f"{self.mostly}, which no model learns and PQ ignores: {remedy}.")
        if self.only_crowd:
            found.append(f"nothing but crowd, so no training target: {_listed(self.only_crowd)}: {remedy}.")
        if self.stuff:
            found.append(
                f"stuff that is flagged crowd, which training takes for void: {_listed(self.stuff)}: "
                "`pantile data check --fix` removes the flag."
            )
        return found

    def _only(self, k: int) -> bool:
        return bool(self.regions[k, True]) and not self.regions[k, False]

    def _name(self, k: int) -> str:
        return self.taxonomy.names[k]


def count_crowd(dataset: PanopticDataset) -> tuple[CrowdCounts, int]:
    """Of all images where the data set has a table of its segments, else of ``LOOKED_AT`` images all over it.

    Returns:
        The counts, and the number of images looked at: 0 for generated images.

    Raises:
        UserError: a label that cannot be read.
    """
    indices: Iterable[int] = range(len(dataset))
    while isinstance(dataset, Subset):
        indices, dataset = [dataset.indices[k] for k in indices], dataset.dataset
    counts, indices = CrowdCounts(dataset.taxonomy), list(indices)
    if hasattr(dataset, "segments_of"):
        for index in indices:
            counts.add(dataset.segments_of(index))
        return counts, len(indices)
    if not hasattr(dataset, "load_map"):
        return counts, 0
    chosen = indices[:: -(-len(indices) // LOOKED_AT)] if indices else []
    for index in chosen:
        panoptic = dataset.load_map(index)
        counts.add(panoptic.segments, count_pixels(panoptic.ids))
    return counts, len(chosen)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
