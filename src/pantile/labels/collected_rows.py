"""What a writer keeps of every image until a split is finished."""

from collections import defaultdict
from collections.abc import Hashable
from pathlib import Path

from pantile.contracts.taxonomy import Taxonomy


class CollectedRows:
    """Base of writers that keep rows for a file of the whole split, whichever process wrote the image.

    Args:
        root: an empty folder.
        taxonomy: the classes.

    Attributes:
        rows: key of the writer's own, such as the split, to rows in the order of the images.
    """

    def __init__(self, root: Path, taxonomy: Taxonomy) -> None:
        self.root = root
        self.taxonomy = taxonomy
        self.rows: dict[Hashable, list] = defaultdict(list)

    def take(self) -> dict[Hashable, list]:
        """The rows so far, which the writer then no longer has."""
        taken, self.rows = dict(self.rows), defaultdict(list)
        return taken

    def give(self, rows: dict[Hashable, list]) -> None:
        """Rows that another process took from its copy of the writer."""
        for key, own in rows.items():
            self.rows[key] += own


class FrameRows(CollectedRows):
    """Base of writers of videos: names of images are ``<video>/<file>``, and so are those of the photos.

    What is written is refused where the source has no videos. Its folder of images may be one for all splits.
    """
