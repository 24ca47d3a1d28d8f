"""What a split holds, counted in one pass over its maps: segments, their classes and sizes, image sizes, void."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from pantile.contracts.atomic import replacing
from pantile.contracts.panoptic import VOID_ID, PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.dataset import PanopticDataset
from pantile.data.label_rows import count_pixels
from pantile.data.videos import has_videos, videos_of
from pantile.labels.pixel_statistics import PixelStatistics
from pantile.labels.video_statistics import VideoStatistics

SIZES = {"small": 32**2, "medium": 96**2}  # pixels that the size ends below, as in COCO; the rest is large


@dataclass(frozen=True)
class Spread:
    """Percentiles of a list of counts, interpolated linearly; 0 for an empty list."""

    p50: float
    p95: float
    max: int

    @classmethod
    def of(cls, counts: Sequence[int]) -> "Spread":
        if not len(counts):
            return cls(0.0, 0.0, 0)
        p50, p95 = np.percentile(counts, [50, 95]).tolist()
        return cls(p50, p95, int(max(counts)))


@dataclass
class ClassCounts:
    """Of one class. Crowd regions have pixels and occur in images, but are no segments.

    Attributes:
        pixels, images: crowd included.
        segments: without crowd.
        crowd: regions.
        sizes: segments by size, the keys of ``SIZES`` and ``"large"``.
    """

    pixels: int = 0
    images: int = 0
    segments: int = 0
    crowd: int = 0
    sizes: Counter = field(default_factory=Counter)


@dataclass
class Statistics:
    """
    Attributes:
        taxonomy: the classes.
        per_class: by class index.
        segments: of each image, crowd left out.
        targets: of each image, what a mask transformer needs a query for: its things, and once each stuff class.
        image_sizes: (height, width) to number of images.
        pixels, void_pixels: of all images.
        without_segment: images that have no segment at all, crowd counted as one.
        channels: mean and std of the images' channels; None where images were not read.
        videos: of data sets that have some; None elsewhere.
    """

    taxonomy: Taxonomy
    per_class: list[ClassCounts]
    segments: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    image_sizes: Counter = field(default_factory=Counter)
    pixels: int = 0
    void_pixels: int = 0
    without_segment: int = 0
    channels: PixelStatistics | None = None
    videos: VideoStatistics | None = None

    @property
    def images(self) -> int:
        return len(self.segments)

    @property
    def crowd(self) -> int:
        """Crowd regions of all images."""
        return sum(own.crowd for own in self.per_class)

    @property
    def void_share(self) -> float:
        """0..1; 0 for a split without pixels."""
        return self.void_pixels / self.pixels if self.pixels else 0.0

    def over(self, queries: int) -> tuple[int, int]:
        """Images with more targets than a model has queries, and how many targets are too many in all."""
        surplus = [count - queries for count in self.targets if count > queries]
        return len(surplus), sum(surplus)

    def add(self, panoptic: PanopticMap) -> None:
        """Counts one image. Pixels whose id the table lacks are void."""
        areas = count_pixels(panoptic.ids)
        classes = self.taxonomy.classes
        own = [s for s in panoptic.segments if not s.is_crowd]
        for segment in panoptic.segments:
            counts, area = self.per_class[segment.class_index], areas.get(segment.id, 0)
            counts.pixels += area
            if segment.is_crowd:
                counts.crowd += 1
            else:
                counts.segments += 1
                counts.sizes[size_of(area)] += 1
        for k in {segment.class_index for segment in panoptic.segments}:
            self.per_class[k].images += 1
        stuff = {s.class_index for s in own if not classes[s.class_index].is_thing}
        self.segments.append(len(own))
        self.targets.append(sum(classes[s.class_index].is_thing for s in own) + len(stuff))
        self.image_sizes[panoptic.size] += 1
        self.pixels += panoptic.ids.size
        listed = {s.id for s in panoptic.segments} - {VOID_ID}
        self.void_pixels += sum(area for i, area in areas.items() if i not in listed)
        self.without_segment += not panoptic.segments

    def to_dict(self, queries: int | None = None) -> dict:
        """For JSON; ``queries`` adds what a model with so many would lose."""
        heights, widths = ([size[axis] for size in self.image_sizes.elements()] for axis in (0, 1))
        result = {
            "images": self.images,
            "images_without_segment": self.without_segment,
            "segments": sum(self.segments),
            "crowd": self.crowd,
            "pixels": self.pixels,
            "void_share": self.void_share,
            "segments_per_image": vars(Spread.of(self.segments)),
            "targets_per_image": vars(Spread.of(self.targets)),
            "height": vars(Spread.of(heights)),
            "width": vars(Spread.of(widths)),
            "image_sizes": [{"height": h, "width": w, "images": n} for (h, w), n in self.image_sizes.most_common()],
            "segment_sizes": {size: sum(own.sizes[size] for own in self.per_class) for size in (*SIZES, "large")},
            "classes": [
                {"name": info.name, "isthing": int(info.is_thing)}
                | {key: getattr(own, key) for key in ("images", "segments", "crowd", "pixels")}
                | {size: own.sizes[size] for size in (*SIZES, "large")}
                for info, own in zip(self.taxonomy.classes, self.per_class, strict=True)
            ],
        }
        if self.channels is not None:
            result["channels"] = vars(self.channels)
        if self.videos is not None:
            result["videos"] = {
                "videos": len(self.videos.videos),
                "tracks": sum(self.videos.tracks),
                "returning": self.videos.returning,
                "frames_per_video": vars(Spread.of(self.videos.frames)),
                "tracks_per_video": vars(Spread.of(self.videos.tracks)),
                "frames_per_track": vars(Spread.of(self.videos.lengths)),
                "tracks_per_class": self.videos.per_class,
            }
        if queries is not None:
            images, surplus = self.over(queries)
            result["queries"] = {"queries": queries, "images_over": images, "targets_over": surplus}
        return result

    def write(self, path: Path, queries: int | None = None) -> None:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(self.to_dict(queries), indent=2), encoding="utf-8")


def size_of(area: int) -> str:
    """small, medium or large."""
    return next((name for name, end in SIZES.items() if area < end), "large")


def count_labels(dataset: PanopticDataset, progress: bool = False) -> Statistics:
    """Reads every map once; images are not decoded where the data set can do without.

    Args:
        dataset: any.
        progress: show a bar on stderr.

    Raises:
        UserError: a label that cannot be read.
    """
    statistics = Statistics(dataset.taxonomy, [ClassCounts() for _ in dataset.taxonomy.classes])
    if has_videos(dataset):
        statistics.videos = VideoStatistics(dataset.taxonomy, videos_of(dataset))
    console = Console(stderr=True)
    for index in track(range(len(dataset)), "labels", console=console, disable=not progress):
        panoptic = map_of(dataset, index)
        statistics.add(panoptic)
        if statistics.videos is not None:
            statistics.videos.add(index, panoptic)
    return statistics


def map_of(dataset: PanopticDataset, index: int) -> PanopticMap:
    """The map alone; generated scenes, which have no files, make the image with it."""
    return dataset.load_map(index) if hasattr(dataset, "load_map") else dataset.load(index)[1]
