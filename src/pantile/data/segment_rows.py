"""The rows of a COCO-panoptic JSON that tell of a map's segments."""

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.id_runs import IdRuns, box_of


def segments_info(panoptic: PanopticMap, taxonomy: Taxonomy) -> list[dict]:
    """The JSON rows of a map, areas and boxes (left, top, width, height) counted from its pixels."""
    own_runs = IdRuns.of(panoptic.ids)
    areas, slices = own_runs.areas(), own_runs.slices()
    rows = []
    for segment in panoptic.segments:
        if segment.id not in areas:
            raise ValueError(f"segment {segment.id} has no pixel")
        rows.append(
            {
                "id": segment.id,
                "category_id": taxonomy.classes[segment.class_index].id,
                "iscrowd": int(segment.is_crowd),
                "area": areas[segment.id],
                "bbox": box_of(slices[segment.id]),
            }
        )
    return rows
