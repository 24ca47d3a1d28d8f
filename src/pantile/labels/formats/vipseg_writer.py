"""VIPSeg's layout as a target, for videos of any layout; ``data.vipseg`` reads it, and says what lies where."""

import json
from pathlib import Path, PurePosixPath

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, ids_to_rgb
from pantile.data.segment_rows import segments_info
from pantile.labels.collected_rows import FrameRows
from pantile.labels.reading.label_pngs import save_png
from pantile.labels.registry import WRITERS
from pantile.labels.report import Report


@WRITERS.register("vipseg")
class VipsegWriter(FrameRows):
    """Ids and classes of the source, so a track stays a track. The photos keep their own form, PNG or JPEG."""

    images = "images"

    def write(
        self, split: str, image_name: str, image_id: int | str, panoptic: PanopticMap, report: Report
    ) -> PanopticMap:
        """One frame. Returns what the format holds: all of it."""
        video, name = PurePosixPath(image_name).parts
        stem = Path(name).stem
        height, width = panoptic.size
        self.rows["frames", split].append((video, {"id": stem, "width": width, "height": height, "file_name": name}))
        rows = segments_info(panoptic, self.taxonomy)
        self.rows["maps", split].append(
            (video, {"image_id": stem, "file_name": f"{stem}.png", "segments_info": rows}),
        )
        save_png(ids_to_rgb(panoptic.ids), self.root / "panomasksRGB" / video / f"{stem}.png")
        return panoptic

    def finish(self, split: str) -> None:
        """Writes the JSON of a split.

        Raises:
            UserError: names of frames are not in order of time, which is all by which the layout tells it.
        """
        frames, maps = (_by_video(self.rows[key, split]) for key in ("frames", "maps"))
        for video, rows in maps.items():
            names = [row["file_name"] for row in rows]
            if names != sorted(names):
                later = next(name for name, sorted_ in zip(names, sorted(names), strict=True) if name != sorted_)
                raise UserError(
                    f"The frames of the video {video} are not in the order of their names (see {later}), by which "
                    "VIPSeg's layout orders them: give them numbers with leading zeros."
                )
        data = {
            "videos": [{"video_id": video, "images": rows} for video, rows in frames.items()],
            "annotations": [{"video_id": video, "annotations": rows} for video, rows in maps.items()],
            "categories": self.taxonomy.to_coco(),
        }
        (self.root / "panomasksRGB").mkdir(exist_ok=True)
        (self.root / f"panoptic_gt_VIPSeg_{split}.json").write_text(json.dumps(data), encoding="utf-8")


def _by_video(rows: list[tuple[str, dict]]) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for video, row in rows:
        found.setdefault(video, []).append(row)
    return found
