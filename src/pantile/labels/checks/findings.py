"""What ``pantile data check`` can find: every kind, how bad it is, and what a repaired copy does about it."""

from dataclasses import asdict, dataclass
from typing import Literal

TINY_PIXELS = 16
MUCH_VOID = 0.5


@dataclass(frozen=True)
class Kind:
    """
    Attributes:
        severity: an error makes numbers wrong or a reader fail; a note may be as the person wants it.
        repair: what the copy does, for the summary.
        leaves_out: the copy cannot hold the image.
        mended: the copy is as a person would want it; False where it lacks something, or has the fault still.
    """

    severity: Literal["error", "note"]
    repair: str
    leaves_out: bool = False
    mended: bool = True


_LEFT_OUT = Kind("error", "image left out", leaves_out=True, mended=False)
_ENTRY = Kind("error", "entry left out", mended=False)
_ROW = Kind("error", "row dropped, its pixels void")
_KEPT = Kind("note", "kept")
_CROWD = Kind("error", "kept", mended=False)

KINDS = {
    # entries of the JSON
    "bad-entry": _ENTRY,  # no id or file name, or a path that leaves its folder
    "duplicate-image-id": _ENTRY,
    "duplicate-file-name": _ENTRY,
    "duplicate-annotation": _ENTRY,
    "entry-repeated": Kind("error", "one kept"),  # two that say the same
    "no-annotation": _ENTRY,
    "no-image-entry": _ENTRY,
    "names-crossed": _KEPT,  # a label that has the name of another image
    "file-unlisted": Kind("note", "left out"),
    # classes of a split against those of the training split
    "classes-differ": Kind("error", "kept"),
    "class-order": _KEPT,
    "class-ids": _KEPT,
    # files
    "image-missing": _LEFT_OUT,
    "image-broken": _LEFT_OUT,
    "image-unsaid": Kind("error", "image left out; say in dataset.yaml how to read it", leaves_out=True, mended=False),
    "label-missing": _LEFT_OUT,
    "label-broken": _LEFT_OUT,
    "files-missing": Kind("error", "-", mended=False),  # of a layout that no copy is made of
    "size-mismatch": _LEFT_OUT,
    "json-size": Kind("error", "taken from the image"),
    "no-size": Kind("note", "taken from the image"),
    "image-rotated": Kind("note", "saved upright or its EXIF tag removed, as its label lies"),
    "image-rotation-unclear": Kind("error", "taken as upright where dataset.yaml does not say"),
    "image-in-two-splits": Kind("error", "kept in the smaller split", leaves_out=True),
    "same-image-twice": _KEPT,
    # rows of segments
    "bad-row": _ROW,
    "id-zero": Kind("error", "row dropped"),
    "id-invalid": _ROW,
    "id-repeated": Kind("error", "one kept where they agree, else void"),
    "unknown-category": _ROW,
    "crowd-flag": _ROW,
    "crowd-form": Kind("note", "0 or 1"),  # missing, or not a number, but what it means is clear
    "stuff-crowd": Kind("error", "flag removed"),
    "stuff-in-segments": Kind("error", "merged into one"),
    "several-crowds": _KEPT,  # of one class, of which panopticapi counts the last alone
    # rows against pixels
    "id-unlisted": Kind("error", "pixels become void"),
    "row-without-pixels": Kind("error", "row dropped"),
    "wrong-area": Kind("error", "counted anew"),
    "wrong-box": Kind("error", "measured anew"),
    "no-area": Kind("note", "counted"),
    "no-box": Kind("note", "measured"),
    # all images of a split together
    "no-images": Kind("error", "kept", mended=False),
    "class-only-crowd": _CROWD,
    "mostly-crowd": _CROWD,
    "no-things": _KEPT,
    # frames of a video together
    "class-changes": Kind("error", "-", mended=False),
    "frame-size": Kind("error", "-", mended=False),
    "frames-unlabelled": Kind("note", "-"),
    # what a person may want to look at
    "empty-image": _KEPT,
    "tiny-segment": _KEPT,
    "much-void": _KEPT,
    "thing-in-pieces": _KEPT,
    "split-skipped": Kind("note", "left out"),  # a JSON without PNGs, or a usual split that the layout does not have
}


@dataclass(frozen=True)
class Finding:
    """One fault in one place.

    Attributes:
        kind: a key of ``KINDS``.
        file: path below the checked folder.
        id: of the segment, or of the image where an entry is at fault; None where there is none.
        text: what is wrong, without the file and the id.
    """

    kind: str
    file: str
    id: int | str | None
    text: str

    @property
    def severity(self) -> str:
        return KINDS[self.kind].severity

    def __str__(self) -> str:
        own = "" if self.id is None else f" id {ascii(self.id) if isinstance(self.id, str) else self.id}"
        return f"{self.severity}: {self.kind}: {self.file}{own}: {self.text}"

    def to_dict(self) -> dict:
        return asdict(self) | {"severity": self.severity}
