"""Colours of segments that stay over the frames of a film."""

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize.colors import segment_colors


class FilmColors:
    """A segment keeps the colour that it had when it came, whatever its neighbours are later."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self._known: dict[tuple[int, int], tuple[int, int, int]] = {}

    def of(self, panoptic: PanopticMap) -> dict[int, tuple[int, int, int]]:
        """Id to RGB, for the segments of the next frame; another class of an id is another colour."""
        keys = {(s.id, s.class_index) for s in panoptic.segments}
        if not keys <= self._known.keys():
            new = segment_colors(panoptic, self.taxonomy)
            for segment_id, class_index in keys - self._known.keys():
                self._known[segment_id, class_index] = new[segment_id]
        return {segment_id: self._known[segment_id, class_index] for segment_id, class_index in keys}
