"""What the videos of a split hold: frames, tracks, and how long these are seen."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.contracts.videos import Video


@dataclass
class VideoStatistics:
    """A track is an id of a thing in a video; crowd and stuff are none. Filled frame by frame, in any order.

    Attributes:
        taxonomy: the classes.
        videos: of the split.
        seen: of each video, an id to the frames, counted from 0 within the video, in which it is a thing.
        classes: of each video, an id to the class index that it had last.
    """

    taxonomy: Taxonomy
    videos: Sequence[Video]
    seen: list[dict[int, list[int]]] = field(init=False)
    classes: list[dict[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        self._place = {index: (v, t) for v, video in enumerate(self.videos) for t, index in enumerate(video.frames)}
        self.seen = [defaultdict(list) for _ in self.videos]
        self.classes = [{} for _ in self.videos]

    def add(self, index: int, panoptic: PanopticMap) -> None:
        """Counts a frame.

        Args:
            index: of the frame in its data set; one of no video is left out.
            panoptic: its map.
        """
        if index not in self._place:
            return
        video, frame = self._place[index]
        for segment in panoptic.segments:
            if self.taxonomy.classes[segment.class_index].is_thing and not segment.is_crowd:
                self.seen[video][segment.id].append(frame)
                self.classes[video][segment.id] = segment.class_index

    @property
    def frames(self) -> list[int]:
        """Of each video."""
        return [len(video) for video in self.videos]

    @property
    def tracks(self) -> list[int]:
        """Of each video."""
        return [len(tracks) for tracks in self.seen]

    @property
    def lengths(self) -> list[int]:
        """Of each track, the frames in which it is seen."""
        return [len(frames) for tracks in self.seen for frames in tracks.values()]

    @property
    def returning(self) -> int:
        """Tracks that are out of sight for some frames and come back."""
        spans = ((frames, max(frames) - min(frames) + 1) for tracks in self.seen for frames in tracks.values())
        return sum(len(frames) < span for frames, span in spans)

    @property
    def per_class(self) -> dict[str, int]:
        """Tracks of each thing class."""
        counts = {self.taxonomy.names[k]: 0 for k in self.taxonomy.thing_indices}
        for classes in self.classes:
            for k in classes.values():
                counts[self.taxonomy.names[k]] += 1
        return counts
