"""Stitching as it is described, pair by pair and pixel by pixel, with everything in memory."""

import itertools

import numpy as np

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.tile_layout import TileLayout, Window


def naive_stitch(maps: list[PanopticMap], evidence: list[np.ndarray], layout: TileLayout, taxonomy: Taxonomy):
    """(H, W) of labels, None for void, ("stuff", k) or ("thing", number of the group), and for each label its score.

    Args:
        evidence: (K, h, w) of each tile.
    """
    windows = layout.windows
    things = [(tile, segment) for tile, m in enumerate(maps) for segment in m.segments if _is_thing(segment, taxonomy)]
    pairs = [
        (one, other)
        for one, other in itertools.combinations(range(len(things)), 2)
        if _same_thing(things[one], things[other], maps, windows)
    ]

    height, width = layout.size
    labels = np.full((height, width), None, dtype=object)
    for y, x in np.ndindex(height, width):
        seen = [t for t, w in enumerate(windows) if w.top <= y < w.bottom and w.left <= x < w.right]
        # a pixel is decided when its last tile is there, from what is known then
        group = _groups(len(things), [p for p in pairs if things[p[0]][0] <= seen[-1] and things[p[1]][0] <= seen[-1]])
        said = {t: _label(maps[t], windows[t], y, x, taxonomy, things, group, t) for t in seen}
        if len(set(said.values())) == 1:
            labels[y, x] = said[seen[0]]
            continue
        weight = {t: _weight(windows[t], layout.size, y, x) for t in seen}
        if sum(weight[t] for t in seen if said[t] is None) > sum(weight.values()) / 2:
            continue
        best = -1.0
        for label in [said[t] for t in seen if said[t] is not None]:
            class_index = _class_of(label, things)
            support = 0.0
            for t in seen:
                local = (y - windows[t].top, x - windows[t].left)
                other = said[t]
                both_things = label[0] == "thing" and other is not None and other[0] == "thing"
                if both_things and other != label and _class_of(other, things) == class_index:
                    continue
                support += weight[t] * evidence[t][class_index][local]
            if support > best:
                best, labels[y, x] = support, label
    final = _groups(len(things), pairs)
    for y, x in np.ndindex(height, width):
        if labels[y, x] is not None and labels[y, x][0] == "thing":
            labels[y, x] = ("thing", final[labels[y, x][1]])
    return labels, _scores(maps, things, final, taxonomy)


def as_labels(panoptic: PanopticMap, taxonomy: Taxonomy) -> tuple[np.ndarray, dict]:
    """(H, W) of labels, None for void, ("stuff", k) or ("thing", id), and the score of each."""
    labels = np.full(panoptic.size, None, dtype=object)
    scores = {}
    for segment in panoptic.segments:
        label = ("thing", segment.id) if _is_thing(segment, taxonomy) else ("stuff", segment.class_index)
        scores[label] = segment.score
        for y, x in zip(*np.nonzero(panoptic.ids == segment.id), strict=True):
            labels[y, x] = label
    return labels, scores


def renamed(labels: np.ndarray) -> list:
    """Labels, flat, with things numbered by their first pixel: equal for maps that differ only in ids."""
    number: dict = {}
    flat = labels.reshape(-1).tolist()
    return [
        ("thing", number.setdefault(label, len(number))) if label is not None and label[0] == "thing" else label
        for label in flat
    ]


def _is_thing(segment: Segment, taxonomy: Taxonomy) -> bool:
    return taxonomy.classes[segment.class_index].is_thing


def _same_thing(one, other, maps: list[PanopticMap], windows: tuple[Window, ...]) -> bool:
    (tile_a, a), (tile_b, b) = one, other
    if tile_a == tile_b or a.class_index != b.class_index:
        return False
    pixels = [_pixels(maps[t].ids == s.id, windows[t]) for t, s in (one, other)]
    strip = _pixels(np.ones(windows[tile_a].size, bool), windows[tile_a])
    strip &= _pixels(np.ones(windows[tile_b].size, bool), windows[tile_b])
    union = (pixels[0] | pixels[1]) & strip
    return bool(union) and len(pixels[0] & pixels[1]) / len(union) > 0.5


def _pixels(mask: np.ndarray, window: Window) -> set[tuple[int, int]]:
    return {(window.top + y, window.left + x) for y, x in zip(*(i.tolist() for i in mask.nonzero()), strict=True)}


def _groups(count: int, pairs) -> list[int]:
    """The smallest member of each one's group, by relabelling until nothing changes."""
    group = list(range(count))
    changed = True
    while changed:
        changed = False
        for one, other in pairs:
            low = min(group[one], group[other])
            changed |= group[one] != low or group[other] != low
            group[one] = group[other] = low
    return group


def _label(panoptic: PanopticMap, window: Window, y: int, x: int, taxonomy, things, group, tile: int):
    value = panoptic.ids[y - window.top, x - window.left]
    for segment in panoptic.segments:
        if segment.id == value:
            if not _is_thing(segment, taxonomy):
                return ("stuff", segment.class_index)
            return ("thing", group[things.index((tile, segment))])
    return None


def _class_of(label, things) -> int:
    return label[1] if label[0] == "stuff" else things[label[1]][1].class_index


def _weight(window: Window, size: tuple[int, int], y: int, x: int) -> float:
    weight = 1.0
    for position, start, end, length in (
        (y, window.top, window.bottom, size[0]),
        (x, window.left, window.right, size[1]),
    ):
        distances = [end - start]
        if start > 0:
            distances.append(position - start + 1)
        if end < length:
            distances.append(end - position)
        weight *= min(distances)
    return weight


def _scores(maps: list[PanopticMap], things, group, taxonomy: Taxonomy) -> dict:
    parts: dict = {}
    for tile, panoptic in enumerate(maps):
        for segment in panoptic.segments:
            thing = _is_thing(segment, taxonomy)
            label = ("thing", group[things.index((tile, segment))]) if thing else ("stuff", segment.class_index)
            parts.setdefault(label, []).append((segment.score, int((panoptic.ids == segment.id).sum())))
    return {
        label: sum(score * area for score, area in own) / sum(area for _, area in own) for label, own in parts.items()
    }
