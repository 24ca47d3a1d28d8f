"""TurnedPhotos: the part of a conversion's report about photos with an orientation tag."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from pantile.data.orientation import STORED, UPRIGHT
from pantile.labels.photos.label_frames import Framed

NAMED = 3
LIE_ON = {
    UPRIGHT: "their labels lie on the upright picture: the copies are saved anew, upright, and lost the tag",
    STORED: "their labels lie on the pixels as stored: the copies keep these pixels and lost the tag",
}


@dataclass
class TurnedPhotos:
    """
    Attributes:
        frames: frame of the labels to names of photos.
        doubts: (reason, frame taken) to names of photos whose labels do not tell.
    """

    frames: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    doubts: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def count(self, path: Path, framed: Framed | None) -> None:
        """One photo; those that are not turned do not count."""
        if framed is None or not framed.found.is_turned:
            return
        self.frames[framed.frame].append(path.name)
        if framed.doubt:
            self.doubts[framed.doubt, framed.frame].append(path.name)

    def add(self, other: "TurnedPhotos") -> None:
        """Further photos."""
        for own, more in ((self.frames, other.frames), (self.doubts, other.doubts)):
            for key, names in more.items():
                own[key] += names

    def to_dict(self) -> dict:
        """Plain containers for JSON, with every name."""
        doubts = [{"reason": why, "taken": frame, "photos": names} for (why, frame), names in self.doubts.items()]
        return {"labels_on": {frame: self.frames[frame] for frame in LIE_ON if self.frames[frame]}, "undecided": doubts}

    def sentences(self) -> list[str]:
        """For people; counts and first names."""
        told = [
            f"{len(names)} photo(s) are stored turned (EXIF orientation) and {LIE_ON[frame]}: {_first(names)}."
            for frame, names in self.frames.items()
            if names
        ]
        return told + [
            f"The labels of {len(names)} of them do not tell which, as {why}; taken as {frame}: {_first(names)}. Look "
            "at them with `pantile data show`, and say it with --orientation upright or stored if that is wrong."
            for (why, frame), names in self.doubts.items()
        ]


def _first(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
