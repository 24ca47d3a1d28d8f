"""YouTube-VIS's layout as a target, for videos of any layout; ``data.youtube_vis`` reads it."""

import json
from pathlib import Path, PurePosixPath

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.run_lengths import encode_segments
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.segment_rows import segments_info
from pantile.labels.collected_rows import FrameRows
from pantile.labels.registry import WRITERS
from pantile.labels.report import Report

STUFF = "stuff, of which YouTube-VIS holds none"
#: of a frame, in a track's list that has an entry for each frame of the video
PER_FRAME = {"segmentations": "segmentation", "areas": "area", "bboxes": "bbox"}


@WRITERS.register("youtube-vis")
class YoutubeVisWriter(FrameRows):
    """``<split>/instances.json`` and ``<split>/JPEGImages``: things as tracks of compressed run lengths, null where a
    thing is not there; crowd keeps its flag. Tracks stand in the order of their ids within a video, and count over all
    videos of a split. The photos keep their own form, PNG or JPEG.

    Raises:
        UserError: no class is a thing.
    """

    images = "{split}/JPEGImages"

    def __init__(self, root: Path, taxonomy: Taxonomy) -> None:
        super().__init__(root, taxonomy)
        if not any(one.is_thing for one in taxonomy.classes):
            raise UserError(
                "No class of the source is a thing, and youtube-vis holds nothing else: choose another --to."
            )

    def write(
        self, split: str, image_name: str, image_id: int | str, panoptic: PanopticMap, report: Report
    ) -> PanopticMap:
        """One frame. Returns what the format holds: its things."""
        is_thing = [self.taxonomy.classes[segment.class_index].is_thing for segment in panoptic.segments]
        things = tuple(s for s, thing in zip(panoptic.segments, is_thing, strict=True) if thing)
        kept = PanopticMap(np.where(np.isin(panoptic.ids, [s.id for s in things]), panoptic.ids, 0), things)
        for row, thing in zip(segments_info(panoptic, self.taxonomy), is_thing, strict=True):
            if not thing:
                name = self.taxonomy.classes[self.taxonomy.index_of_id[row["category_id"]]].name
                report.lose(name, STUFF, 1, row["area"])
        masks = encode_segments(kept.ids, [segment.id for segment in things]) if things else []
        rows = [
            row | {"segmentation": {"size": mask["size"], "counts": mask["counts"].decode("ascii")}}
            for row, mask in zip(segments_info(kept, self.taxonomy), masks, strict=True)
        ]
        self.rows[split].append((image_name, panoptic.size, rows))
        return kept

    def finish(self, split: str) -> None:
        """Writes the JSON of a split.

        Raises:
            UserError: an id has two classes in a video, or is crowd in some of its frames only.
        """
        frames: dict[str, list] = {}
        for frame in self.rows[split]:
            frames.setdefault(PurePosixPath(frame[0]).parts[0], []).append(frame)
        data: dict = {"videos": [], "annotations": []}
        for number, (video, own) in enumerate(frames.items(), start=1):
            (height, width), count = own[0][1], len(own)
            size = {"width": width, "height": height, "length": count}
            data["videos"].append({"id": number, "file_names": [name for name, _, _ in own], **size})
            for _, track in sorted(_tracks(video, own).items()):
                place = {"id": len(data["annotations"]) + 1, "video_id": number}
                data["annotations"].append(place | size | track)
        data["categories"] = [c for c in self.taxonomy.to_coco() if c["isthing"]]
        (self.root / split / "instances.json").write_text(json.dumps(data), encoding="utf-8")


def _tracks(video: str, frames: list[tuple[str, tuple[int, int], list[dict]]]) -> dict[int, dict]:
    """What a video's tracks have over its frames, by their ids."""
    tracks: dict[int, dict] = {}
    for number, (name, size, rows) in enumerate(frames):
        if size != frames[0][1]:
            raise UserError(
                f"{name} has {size[1]} x {size[0]} pixels, and its video {video} {frames[0][1][1]} x {frames[0][1][0]}"
                ": youtube-vis has one size for all frames of a video."
            )
        for row in rows:
            fixed = {"category_id": row["category_id"], "iscrowd": row["iscrowd"]}
            track = tracks.setdefault(row["id"], fixed | {key: [None] * len(frames) for key in PER_FRAME})
            if {key: track[key] for key in fixed} != fixed:
                raise UserError(
                    f"The id {row['id']} of the video {video} has another class or crowd flag in {name} than before: a "
                    "track has one of each; `pantile data check` lists such ids."
                )
            for key, of_frame in PER_FRAME.items():
                track[key][number] = row[of_frame]
    return tracks
