"""PQ by its published definition: a set of pixels for each segment, and loops."""

from dataclasses import dataclass, field

from pantile.contracts.panoptic import PanopticMap


@dataclass
class OracleCounts:
    tp: int = 0
    fp: int = 0
    fn: int = 0
    ious: list[float] = field(default_factory=list)


def pixels_by_id(panoptic: PanopticMap) -> dict[int, set[tuple[int, int]]]:
    sets: dict[int, set[tuple[int, int]]] = {0: set()}
    for y, row in enumerate(panoptic.ids.tolist()):
        for x, value in enumerate(row):
            sets.setdefault(value, set()).add((y, x))
    return sets


def oracle_counts(pred: PanopticMap, gt: PanopticMap, classes: int) -> list[OracleCounts]:
    """Counts per class of one image."""
    counts = [OracleCounts() for _ in range(classes)]
    gt_pixels, pred_pixels = pixels_by_id(gt), pixels_by_id(pred)
    void = gt_pixels[0]
    matched_gt, matched_pred = set(), set()
    for g in sorted(gt.segments, key=lambda s: s.id):
        for p in sorted(pred.segments, key=lambda s: s.id):
            if g.is_crowd or g.class_index != p.class_index:
                continue
            intersection = gt_pixels[g.id] & pred_pixels[p.id]
            union = gt_pixels[g.id] | (pred_pixels[p.id] - void)
            iou = len(intersection) / len(union)
            if iou > 0.5:
                counts[g.class_index].tp += 1
                counts[g.class_index].ious.append(iou)
                matched_gt.add(g.id)
                matched_pred.add(p.id)
    for g in gt.segments:
        if not g.is_crowd and g.id not in matched_gt:
            counts[g.class_index].fn += 1
    for p in pred.segments:
        if p.id in matched_pred:
            continue
        excused = set(void)
        for g in gt.segments:
            if g.is_crowd and g.class_index == p.class_index:
                excused |= gt_pixels[g.id]
        if not len(pred_pixels[p.id] & excused) > len(pred_pixels[p.id]) / 2:
            counts[p.class_index].fp += 1
    return counts
