"""Report: what went in, what came out, and the reason for every difference."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pantile.contracts.panoptic import VOID_ID, PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.crowd import CrowdCounts
from pantile.data.label_rows import count_pixels
from pantile.labels.photos.turned_photos import TurnedPhotos
from pantile.labels.source import Dropped, LeftOut

FILE_NAME = "convert_report.json"
COUNTERS = (
    *("images", "segments_in", "segments_out", "pixels_in", "pixels_out", "decided", "joined", "dropped"),
    *("flags_dropped", "made_instances", "unnumbered", "gap", "stuff_in_segments"),
)
CROWD_REMEDY = "if they are single objects, convert with --crowd-as-instances"
COVERED = "covered entirely by other segments"


def _nothing() -> list[int]:
    return [0, 0]


@dataclass
class Report:
    """Counts over all images; classes by name.

    The books balance. An annotation becomes a segment, a further part of one (``joined``), or is ``dropped``; what a
    reader could not give is in ``left_out``. Per class, ``segments_in`` = ``segments_out`` + segments covered (in
    ``dropped``) + segments lost, and ``pixels_in`` = ``pixels_out`` + pixels decided against it + pixels lost. Segments
    that merge are lost as segments, not as pixels. What ``--gap`` fills comes on top of ``pixels_in``, and may add a
    segment.

    Attributes:
        taxonomy: of the source.
        images: split to number of images.
        segments_in, segments_out, pixels_in, pixels_out: per class.
        decided: (class on top, class below) to pixels.
        joined: class to annotations that became further parts of a segment.
        dropped: (class, reason) to number of annotations.
        first_dropped: (class, reason) to the first place.
        lost: (class, reason) to [segments, pixels]: what the target cannot hold.
        crowd: split to the crowd in it, before the target may lose it.
        flags_dropped: class of stuff to crowd flags that it lost.
        made_instances: class to instances that were crowd.
        unnumbered: class to images where things without a number became crowd.
        gap: class and pixels that ``--gap`` filled.
        void_pixels: in the target.
        turned: photos with an orientation tag.
        notes: assumptions, one sentence each.
        left_out: images, annotations, classes and files that the reader saw and did not give.
        stuff_in_segments: class of stuff to images of the target that have it in several segments.
        problems: of the photos, which `pantile data check` would call errors.
    """

    taxonomy: Taxonomy
    images: Counter = field(default_factory=Counter)
    segments_in: Counter = field(default_factory=Counter)
    segments_out: Counter = field(default_factory=Counter)
    pixels_in: Counter = field(default_factory=Counter)
    pixels_out: Counter = field(default_factory=Counter)
    decided: Counter = field(default_factory=Counter)
    joined: Counter = field(default_factory=Counter)
    dropped: Counter = field(default_factory=Counter)
    first_dropped: dict[tuple[str, str], str] = field(default_factory=dict)
    lost: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(_nothing))
    crowd: dict[str, CrowdCounts] = field(default_factory=dict)
    flags_dropped: Counter = field(default_factory=Counter)
    made_instances: Counter = field(default_factory=Counter)
    unnumbered: Counter = field(default_factory=Counter)
    gap: Counter = field(default_factory=Counter)
    void_pixels: int = 0
    stuff_in_segments: Counter = field(default_factory=Counter)
    turned: TurnedPhotos = field(default_factory=TurnedPhotos)
    notes: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def lose(self, class_name: str, reason: str, segments: int, pixels: int) -> None:
        """The target cannot hold something."""
        entry = self.lost[class_name, reason]
        entry[0] += segments
        entry[1] += pixels

    def drop(self, dropped: Dropped, annotations: int = 1) -> None:
        """An annotation becomes no segment."""
        key = (dropped.class_name, dropped.reason)
        self.dropped[key] += annotations
        self.first_dropped.setdefault(key, dropped.where)

    def count_crowd(self, split: str, panoptic: PanopticMap) -> None:
        """The crowd of one image."""
        counts = self.crowd.setdefault(split, CrowdCounts(self.taxonomy))
        counts.add(panoptic.segments, count_pixels(panoptic.ids))

    def add(self, other: "Report") -> None:
        """What another report says of further images, in their order."""
        for name in COUNTERS:
            getattr(self, name).update(getattr(other, name))
        for key, where in other.first_dropped.items():
            self.first_dropped.setdefault(key, where)
        for key, (segments, pixels) in other.lost.items():
            self.lose(*key, segments, pixels)
        for split, counts in other.crowd.items():
            own = self.crowd.setdefault(split, CrowdCounts(self.taxonomy))
            own.regions.update(counts.regions)
            own.pixels.update(counts.pixels)
        self.void_pixels += other.void_pixels
        self.turned.add(other.turned)

    def crowd_of(self, class_index: int) -> tuple[int, int]:
        """Crowd regions of a class in all splits, and their pixels."""
        both = [counts.of(class_index) for counts in self.crowd.values()]
        return sum(regions for regions, _ in both), sum(pixels for _, pixels in both)

    @property
    def warnings(self) -> list[str]:
        """What `pantile data check` would call an error in the target, one sentence each."""
        crowd = [f"{split}: {text}" for split, own in self.crowd.items() for text in own.warnings(CROWD_REMEDY)]
        stuff = [
            f"{name} is stuff and has several segments in {n:,} images: `pantile data check --fix` merges them."
            for name, n in self.stuff_in_segments.items()
        ]
        return [*self.problems, *crowd, *stuff]

    @property
    def all_notes(self) -> list[str]:
        """``notes``, and what became of crowd."""
        made = [f"{name}: {n:,} instances were crowd." for name, n in self.made_instances.items()]
        flags = [f"{name} is stuff, never crowd: {n:,} flags dropped." for name, n in self.flags_dropped.items()]
        pooled = [f"{name}: in {n:,} images, what has no number is crowd." for name, n in self.unnumbered.items()]
        joined = [f"{name}: {n:,} shapes are further parts of a segment." for name, n in self.joined.items() if n]
        return [*self.notes, *made, *flags, *pooled, *joined]

    def count_out(self, held: PanopticMap) -> None:
        """What the target holds of one image."""
        areas = count_pixels(held.ids)
        stuff = Counter(s.class_index for s in held.segments if not self.taxonomy.classes[s.class_index].is_thing)
        self.stuff_in_segments.update(self.taxonomy.names[k] for k, n in stuff.items() if n > 1)
        self.void_pixels += areas.get(VOID_ID, 0)
        for segment in held.segments:
            name = self.taxonomy.names[segment.class_index]
            self.segments_out[name] += 1
            self.pixels_out[name] += areas[segment.id]

    def to_dict(self) -> dict:
        """Plain containers for JSON."""
        return {
            "images": dict(self.images),
            "classes": [
                {
                    "name": info.name,
                    "id": info.id,
                    "isthing": int(info.is_thing),
                    "segments_in": self.segments_in[info.name],
                    "segments_out": self.segments_out[info.name],
                    "pixels_in": self.pixels_in[info.name],
                    "pixels_out": self.pixels_out[info.name],
                    "crowd": self.crowd_of(k)[0],
                    "crowd_pixels": self.crowd_of(k)[1],
                }
                for k, info in enumerate(self.taxonomy.classes)
            ],
            "void_pixels": self.void_pixels,
            "gap": [{"class": name, "pixels": pixels} for name, pixels in self.gap.items()],
            "overlaps": [
                {"on_top": top, "below": below, "pixels": pixels} for (top, below), pixels in self.decided.most_common()
            ],
            "dropped": [
                {"class": name, "reason": reason, "annotations": n, "first": self.first_dropped[name, reason]}
                for (name, reason), n in self.dropped.most_common()
            ],
            "joined": dict(+self.joined),
            "left_out": [vars(own) for own in self.left_out],
            "lost": [
                {"class": name, "reason": reason, "segments": segments, "pixels": pixels}
                for (name, reason), (segments, pixels) in self.lost.items()
            ],
            "turned_photos": self.turned.to_dict(),
            "notes": self.all_notes,
            "warnings": self.warnings,
        }

    def write(self, path: Path, about: dict) -> None:
        """JSON; ``about`` goes first."""
        path.write_text(json.dumps(about | self.to_dict(), indent=1), encoding="utf-8")

    def print(self, console: Console) -> None:
        """Tables for people; classes that do not occur and folders of files are in the JSON only."""
        console.print(self._classes_table())
        for title, columns, rows in (
            (
                "Pixels decided by --overlap",
                ("on top", "below", "pixels"),
                [(*pair, n) for pair, n in self.decided.most_common()],
            ),
            (
                "Annotations dropped",
                ("class", "reason", "annotations", "first"),
                [(*key, n, self.first_dropped[key].rpartition("/")[2]) for key, n in self.dropped.most_common()],
            ),
            (
                "What the target cannot hold",
                ("class", "reason", "segments", "pixels"),
                [(*key, *counts) for key, counts in self.lost.items()],
            ),
        ):
            if rows:
                console.print(_table(title, columns, rows))
        for name, pixels in self.gap.items():
            console.print(Text(f"{pixels:,} pixels without label became {name}."))
        for note in (*self.turned.sentences(), *self.all_notes):
            console.print(Text(note))
        for warning in self.warnings:
            console.print(Text(f"warning: {warning}", style="bold red"))

    def _classes_table(self) -> Table:
        pixels = sum(self.pixels_out.values()) + self.void_pixels
        share = f", {self.void_pixels / pixels:.1%} void" if pixels else ""
        images = ", ".join(f"{n:,} {split}" for split, n in self.images.items())
        rows = [
            (
                info.name,
                "thing" if info.is_thing else "stuff",
                *(counts[info.name] for counts in (self.segments_in, self.segments_out)),
                *(counts[info.name] for counts in (self.pixels_in, self.pixels_out)),
                self.crowd_of(k)[0],
            )
            for k, info in enumerate(self.taxonomy.classes)
            if self.segments_in[info.name] or self.segments_out[info.name]
        ]
        columns = ("class", "kind", "segments in", "out", "pixels in", "out", "crowd")
        return _table(f"Images: {images}{share}", columns, rows)


def _table(title: str, columns: tuple[str, ...], rows: list[tuple]) -> Table:
    table = Table(title=Text(title), title_justify="left")
    numeric = [bool(rows) and isinstance(value, int) for value in (rows[0] if rows else columns)]
    for column, is_number in zip(columns, numeric, strict=True):
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:  # Text, because class names may look like rich's markup
        table.add_row(*(Text(f"{value:,}" if isinstance(value, int) else value) for value in row))
    return table
