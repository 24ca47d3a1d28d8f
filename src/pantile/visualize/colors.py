"""Colours of segments: the class gives the hue, the instance gives the shade.

Shades are spaced in OKLab (Ottosson 2020, "A perceptual color space for image processing"), where a distance of about
0.02 is just visible, so "neighbours look different" is a number and not a matter of luck.
"""

from functools import lru_cache

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize.palette import VOID_COLOR

NEIGHBOUR_DISTANCE = 0.09  # OKLab; about half of it is left after blending with the image at alpha 0.55

_LARGEST_TABLE = 2**16  # entries; ids of predictions are small, those of COCO's ground truth are not

_RGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LMS_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def segment_colors(panoptic_map: PanopticMap, taxonomy: Taxonomy) -> dict[int, tuple[int, int, int]]:
    """A colour for every segment of the table, and for void.

    Stuff has the taxonomy's colour. A thing has a shade of it, chosen by its id, so that the same id keeps its
    colour from one map to the next; only when that shade is too close to a neighbour's does the thing take another.
    Crowd is the class colour washed out towards grey. The order of the table does not matter.

    Returns:
        segment id -> RGB, each 0..255; key 0 is void.

    Raises:
        UserError: a segment's class index is not in the taxonomy.
    """
    segments = panoptic_map.segments
    for segment in segments:
        if not 0 <= segment.class_index < len(taxonomy):
            raise UserError(
                f"Segment {segment.id} has class index {segment.class_index}, but the taxonomy has "
                f"{len(taxonomy)} classes: draw the map with the taxonomy that it was made with."
            )
    colors: dict[int, tuple[int, int, int]] = {VOID_ID: VOID_COLOR}
    varied = []
    for row, segment in enumerate(segments, start=1):
        info = taxonomy.classes[segment.class_index]
        if segment.is_crowd:
            colors[segment.id] = crowd_color(info.color)
        elif info.is_thing:
            varied.append((row, segment))
        else:
            colors[segment.id] = tuple(info.color)
    near = _near(segment_rows(panoptic_map), len(segments))
    ids = [VOID_ID] + [segment.id for segment in segments]
    for row, segment in sorted(varied, key=lambda pair: pair[1].id):
        taken = [colors[ids[other]] for other in np.flatnonzero(near[row]) if ids[other] in colors]
        colors[segment.id] = _pick_shade(taxonomy.classes[segment.class_index].color, segment.id, taken)
    return colors


def segment_rows(panoptic_map: PanopticMap) -> np.ndarray:
    """(H, W) intp: r + 1 where row r of the table lies, 0 on void and on ids that the table does not list."""
    ids = panoptic_map.ids
    if not panoptic_map.segments:
        return np.zeros(ids.shape, dtype=np.intp)
    listed = np.array([segment.id for segment in panoptic_map.segments], dtype=ids.dtype)
    beyond = int(listed.max()) + 1
    if beyond < _LARGEST_TABLE and listed.min() >= 0 and ids.min() >= 0:
        row_of = np.zeros(beyond + 1, dtype=np.intp)
        row_of[listed] = np.arange(1, len(listed) + 1)
        return row_of[np.minimum(ids, beyond)]
    order = np.argsort(listed)
    place = np.minimum(np.searchsorted(listed, ids, sorter=order), len(listed) - 1)
    row = order[place]
    return np.where(listed[row] == ids, row + 1, 0)


def crowd_color(color: tuple[int, int, int]) -> tuple[int, int, int]:
    """The class colour, halfway to light grey."""
    return tuple((channel + 205) // 2 for channel in color)


@lru_cache(maxsize=1024)
def shades(color: tuple[int, int, int]) -> tuple[tuple[int, int, int], ...]:
    """Ten shades of a class colour: five lightnesses, and five between them with the hue turned by 9 degrees."""
    lightness, a, b = rgb_to_oklab(np.array(color))
    chroma, hue = np.hypot(a, b), np.arctan2(b, a)
    darkest = np.clip(lightness - 0.19, 0.38, 0.45)
    levels = darkest + 0.095 * np.array([2, 4, 0, 3, 1])
    plain = [_in_gamut(level, chroma, hue) for level in levels]
    turned = [_in_gamut(level + 0.0475, chroma, hue + np.deg2rad(9)) for level in levels]
    return tuple(plain + turned)


def rgb_to_oklab(rgb: np.ndarray) -> np.ndarray:
    """(..., 3) sRGB 0..255 to (..., 3) OKLab: lightness 0..1, then the two colour axes."""
    channel = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _RGB_TO_LMS.T) @ _LMS_TO_LAB.T


def _oklab_to_rgb(lab: np.ndarray) -> np.ndarray:
    """The inverse; values outside 0..255 mean that the screen cannot show the colour."""
    linear = (lab @ np.linalg.inv(_LMS_TO_LAB).T) ** 3 @ np.linalg.inv(_RGB_TO_LMS).T
    positive = np.maximum(linear, 0)
    channel = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * positive ** (1 / 2.4) - 0.055)
    return channel * 255


def _in_gamut(lightness: float, chroma: float, hue: float) -> tuple[int, int, int]:
    """The most saturated colour of this lightness and hue, up to ``chroma``, that sRGB holds."""
    reach = chroma * np.linspace(1, 0, 41)
    candidates = _oklab_to_rgb(
        np.stack([np.full_like(reach, lightness), reach * np.cos(hue), reach * np.sin(hue)], axis=-1)
    )
    fits = ((candidates > -0.5) & (candidates < 255.5)).all(axis=-1)
    return tuple(int(channel) for channel in candidates[fits.argmax()].round().clip(0, 255))


def _pick_shade(
    color: tuple[int, int, int], segment_id: int, taken: list[tuple[int, int, int]]
) -> tuple[int, int, int]:
    """The id's own shade if it differs from every neighbour's, else the next that does, else the most different."""
    choices = shades(tuple(color))
    own = (segment_id * 2654435761 >> 16) % len(choices)  # Knuth's multiplicative hash spreads consecutive ids
    choices = choices[own:] + choices[:own]
    if not taken:
        return choices[0]
    gap = np.linalg.norm(rgb_to_oklab(np.array(choices))[:, None] - rgb_to_oklab(np.array(taken))[None], axis=-1)
    gap = gap.min(axis=1)
    different_enough = np.flatnonzero(gap >= NEIGHBOUR_DISTANCE)
    return choices[different_enough[0] if len(different_enough) else gap.argmax()]


def _near(rows: np.ndarray, count: int) -> np.ndarray:
    """(count + 1, count + 1) bool: rows that touch, or lie within a fortieth of the image of each other.

    Things that face each other across a narrow strip of wall are compared by the eye too, hence the second step.
    """
    near = np.zeros((count + 1, count + 1), dtype=bool)
    for step in (1, max(2, max(rows.shape) // 40)):
        for before, after in ((rows[:, :-step], rows[:, step:]), (rows[:-step], rows[step:])):
            differ = before != after
            near[before[differ], after[differ]] = True
    near[VOID_ID] = near[:, VOID_ID] = False  # void is hatched and cannot be mistaken
    return near | near.T
