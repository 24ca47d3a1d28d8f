"""The ``segmentation`` of COCO's and LVIS's annotations as run lengths."""

from pantile.contracts.json_fields import Fields, is_number
from pantile.labels.reading.outlines import EDGES
from pantile.labels.reading.rasterise import (
    NO_PIXEL,
    TOO_FEW_POINTS,
    area,
    counts_to_rle,
    decode_counts,
    polygons_to_mask,
    why_empty,
)


def mask_of(entry: Fields, size: tuple[int, int], outline: str = EDGES) -> dict | str:
    """
    Args:
        entry: an annotation; polygons, or run lengths as numbers or as COCO's compressed text.
        size: (height, width) of the image.
        outline: of polygons, one of ``outlines.OUTLINES``.

    Returns:
        pycocotools' compressed run lengths of at least one pixel, or why there are none.

    Raises:
        UserError: a segmentation of another form, or run lengths of another size.
    """
    if "segmentation" not in entry:
        return "no segmentation, only a box"
    segmentation = entry.data["segmentation"]
    if isinstance(segmentation, dict):
        mask = _run_lengths(Fields(segmentation, f"{entry.where}, segmentation"), size)
        return mask if area(mask) else NO_PIXEL
    if not isinstance(segmentation, list) or not all(
        isinstance(flat, list) and all(map(is_number, flat)) and len(flat) % 2 == 0 for flat in segmentation
    ):
        raise entry.wrong("segmentation", "a list of polygons [x, y, x, y, ...] or run lengths with size and counts")
    polygons = [list(zip(flat[::2], flat[1::2], strict=True)) for flat in segmentation if len(flat) >= 6]
    if not polygons:
        return TOO_FEW_POINTS if segmentation else "empty polygon"
    mask = polygons_to_mask(polygons, size, entry.where, outline)
    return mask if area(mask) else why_empty(polygons, size)


def _run_lengths(fields: Fields, size: tuple[int, int]) -> dict:
    claimed = fields.items("size")
    if claimed != list(size):
        raise fields.wrong("size", f"[height, width] of the image, {list(size)}")
    counts = fields.get("counts", "run lengths")
    if isinstance(counts, str):
        counts = decode_counts(counts, fields.where)
    elif not isinstance(counts, list) or not all(
        isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**31 for n in counts
    ):
        raise fields.wrong("counts", "run lengths: whole numbers or COCO's compressed text")
    return counts_to_rle(counts, size, fields.where)
