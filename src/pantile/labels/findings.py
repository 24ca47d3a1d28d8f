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
    """

    severity: Literal["error", "note"]
    repair: str
    leaves_out: bool = False


_LEFT_OUT = Kind("error", "image left out", leaves_out=True)
_ENTRY = Kind("error", "entry left out")
_ROW = Kind("error", "row dropped, its pixels void")
_KEPT = Kind("note", "kept")

KINDS = {
    # entries of the JSON
    "bad-entry": _ENTRY,  # no id or file name, or a path that leaves its folder
    "duplicate-image-id": _ENTRY,
    "duplicate-file-name": _ENTRY,
    "duplicate-annotation": _ENTRY,
    "no-annotation": _ENTRY,
    "no-image-entry": _ENTRY,
    "file-unlisted": Kind("note", "left out"),
    # files
    "image-missing": _LEFT_OUT,
    "image-broken": _LEFT_OUT,
    "image-unsaid": Kind("error", "image left out; say in dataset.yaml how to read it", leaves_out=True),
    "label-missing": _LEFT_OUT,
    "label-broken": _LEFT_OUT,
    "size-mismatch": _LEFT_OUT,
    "json-size": Kind("error", "taken from the image"),
    "image-in-two-splits": Kind("error", "kept in the smaller split", leaves_out=True),
    "same-image-twice": _KEPT,
    # rows of segments
    "bad-row": _ROW,
    "id-zero": Kind("error", "row dropped"),
    "id-invalid": _ROW,
    "id-repeated": Kind("error", "one kept where they agree, else void"),
    "unknown-category": _ROW,
    "crowd-flag": Kind("error", "0 where missing, a number where readable, else row dropped"),
    # rows against pixels
    "id-unlisted": Kind("error", "pixels become void"),
    "row-without-pixels": Kind("error", "row dropped"),
    "wrong-area": Kind("error", "counted anew"),
    "wrong-box": Kind("error", "measured anew"),
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
