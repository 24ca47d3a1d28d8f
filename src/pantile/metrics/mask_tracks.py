"""Tracks of masks: things through a video, which may overlap, as YouTube-VIS has them; and how well two agree."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools.mask import area, iou

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.run_lengths import encode_segments
from pantile.contracts.taxonomy import Taxonomy
from pantile.contracts.videos import TrackedInstance
from pantile.metrics.map_pair import as_array, id_map


@dataclass(frozen=True)
class MaskTrack(TrackedInstance):
    """One true thing of a video.

    Attributes:
        is_crowd: it excuses predictions that match it.
    """

    is_crowd: bool = False


def tracks_of(frames: Sequence[PanopticMap], taxonomy: Taxonomy) -> list[MaskTrack]:
    """The things of the panoptic maps of a video, by their ids, in the order in which they appear.

    Where an id changes its class, another track begins. The score is the mean over the frames in which it is seen; a
    track is a crowd where all its segments are.

    Raises:
        UserError: a segment of a table has no pixel.
    """
    tracks = GrowingTracks(taxonomy)
    for frame in frames:
        tracks.add(frame)
    return tracks.finished()


class GrowingTracks:
    """``tracks_of`` of frames that come one by one; of each only the run lengths are kept."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self._taxonomy = taxonomy
        self._frames = 0
        self._seen: dict[tuple[int, int], list[tuple[int, Segment, dict]]] = {}

    def add(self, frame: PanopticMap) -> None:
        """The next frame.

        Raises:
            UserError: a segment of the table has no pixel.
        """
        things = [s for s in frame.segments if self._taxonomy.classes[s.class_index].is_thing]
        masks = encode_segments(as_array(id_map(frame, "map")), [s.id for s in things])
        for segment, mask in zip(things, masks, strict=True):
            self._seen.setdefault((segment.class_index, segment.id), []).append((self._frames, segment, mask))
        self._frames += 1

    def finished(self) -> list[MaskTrack]:
        """The tracks of all frames so far."""
        tracks = []
        for (class_index, _), seen in self._seen.items():
            masks: list[dict | None] = [None] * self._frames
            for number, _, mask in seen:
                masks[number] = mask
            segments = [segment for _, segment, _ in seen]
            score = float(np.mean([s.score for s in segments]))
            tracks.append(MaskTrack(class_index, score, tuple(masks), all(s.is_crowd for s in segments)))
        return tracks


def areas_of_track(track: TrackedInstance) -> np.ndarray:
    """(T,) int64: pixels in each frame, 0 where it is not seen."""
    return np.array([0 if mask is None else area(mask) for mask in track.masks], np.int64)


def track_ious(predictions: Sequence[TrackedInstance], truths: Sequence[TrackedInstance]) -> np.ndarray:
    """(D, G) float64: pixels that two tracks share in all frames, divided by those that either has.

    A frame in which only one of them is seen adds its area to the union. Crowds are treated like other tracks, unlike
    in COCO, where a detection is divided by its own area alone.
    """
    ious = np.zeros((len(predictions), len(truths)))
    if not ious.size:
        return ious
    areas = [np.stack([areas_of_track(track) for track in tracks]) for tracks in (predictions, truths)]
    shared = np.zeros(ious.shape)
    for frame in range(areas[0].shape[1]):
        rows, columns = (
            [k for k, track in enumerate(tracks) if track.masks[frame] is not None] for tracks in (predictions, truths)
        )
        if not rows or not columns:
            continue
        masks = [[tracks[k].masks[frame] for k in seen] for tracks, seen in ((predictions, rows), (truths, columns))]
        ratio = np.asarray(iou(*masks, [0] * len(columns)))
        both = areas[0][rows, frame][:, None] + areas[1][columns, frame][None]
        shared[np.ix_(rows, columns)] += np.rint(ratio * both / (1 + ratio))  # pixels: whole again
    union = areas[0].sum(axis=1)[:, None] + areas[1].sum(axis=1)[None] - shared
    return np.divide(shared, union, out=ious, where=union > 0)


def check_track(
    track: TrackedInstance, frames: int, size: tuple[int, int] | None, taxonomy: Taxonomy, what: str
) -> None:
    """
    Args:
        frames: of the video.
        size: (H, W) of its masks; None before one is known.
        what: whose track it is, for the message.

    Raises:
        UserError: another number of masks, another size, a class that is no thing class, a score that is not finite, or
            masks that are not in compressed run lengths.
    """
    if track.class_index not in taxonomy.thing_indices:
        raise UserError(
            f"A track of the {what} has class index {track.class_index}, which is no thing class of the taxonomy: use "
            f"one of {list(taxonomy.thing_indices)}."
        )
    if not np.isfinite(track.score):
        raise UserError(f"A track of the {what} has the score {track.score}: give a finite number.")
    if len(track.masks) != frames:
        raise UserError(
            f"A track of the {what} has {len(track.masks)} masks in a video of {frames} frames: give one for each "
            "frame, None where it is not seen."
        )
    for mask in track.masks:
        if mask is None:
            continue
        if not isinstance(mask["counts"], bytes):
            raise UserError(f"A mask of the {what} is not in compressed run lengths: encode it as COCO does, in bytes.")
        if size is not None and tuple(mask["size"]) != size:
            raise UserError(
                f"A mask of the {what} is {mask['size'][0]} x {mask['size'][1]} pixels in a video of {size[0]} x "
                f"{size[1]}: give all masks the size of the video."
            )
