"""Names beside swatches, flowing in lines of a given width."""

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize.colors import crowd_color, shades
from pantile.visualize.palette import DOT_COLOR, ERROR_COLORS, HATCH_COLOR, VOID_COLOR
from pantile.visualize.panels import BACKGROUND, font, text
from pantile.visualize.textures import dots, hatching

_CROWD_SAMPLE = (150, 150, 158)


def legend(
    taxonomy: Taxonomy, present_classes: Iterable[int], width: int = 640, void: bool = True, crowd: bool = False
) -> np.ndarray:
    """The classes of a drawing: things first, with three of their shades each, then stuff, crowd and void.

    Args:
        taxonomy: names and colours.
        present_classes: class indices to list; none is fine.
        width: pixels; names flow into as many lines as they need.
        void: list the hatched swatch.
        crowd: list the dotted swatch.

    Returns:
        (H, width, 3) uint8.
    """
    present = set(present_classes)
    entries = []
    for k in [*taxonomy.thing_indices, *taxonomy.stuff_indices]:
        if k in present:
            info = taxonomy.classes[k]
            entries.append((info.name, shades(tuple(info.color))[:3] if info.is_thing else (info.color,)))
    if crowd:
        entries.append(("crowd", "crowd"))
    if void:
        entries.append(("void", "void"))
    return _flow(entries, width)


def error_legend(width: int = 640) -> np.ndarray:
    """The colours of ``error_map``. Returns (H, width, 3) uint8."""
    return _flow([(name, "void" if name == "void" else (color,)) for name, color in ERROR_COLORS.items()], width)


def named_colors(entries: Sequence[tuple[str, tuple[int, int, int]]], width: int = 640) -> np.ndarray:
    """Any names, each with its colour; a name may occur more than once. Returns (H, width, 3) uint8."""
    return _flow([(name, (color,)) for name, color in entries], width)


def _flow(entries: list[tuple[str, tuple | str]], width: int) -> np.ndarray:
    """Draws (name, swatch) pairs from left to right; a swatch is some colours, or "void", or "crowd"."""
    size = int(np.clip(width // 52, 12, 26))
    line, margin = round(size * 1.75), round(size * 0.6)
    swatch_width, gap = round(size * 1.8), round(size * 0.5)
    places, x, y = [], margin, margin
    for name, _ in entries:
        needed = swatch_width + gap + int(np.ceil(font(size).getlength(name)))
        if x > margin and x + needed > width - margin:
            x, y = margin, y + line
        places.append((x, y, min(needed, max(1, width - margin - x))))
        x += needed + 3 * gap
    canvas = Image.new("RGB", (width, y + line + margin if entries else 2 * margin), BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    for (name, kind), (left, top, space) in zip(entries, places, strict=True):
        canvas.paste(Image.fromarray(_swatch(kind, size, swatch_width)), (left, top + (line - size) // 2))
        room = space - swatch_width - gap
        text(pen, (left + swatch_width + gap, top, max(1, room), line), name, size)
    return np.asarray(canvas)


def _swatch(kind: tuple | str, height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8."""
    if kind == "void":
        return np.where(hatching((height, width))[..., None], HATCH_COLOR, VOID_COLOR).astype(np.uint8)
    if kind == "crowd":
        ground = crowd_color(_CROWD_SAMPLE)
        return np.where(dots((height, width))[..., None], DOT_COLOR, ground).astype(np.uint8)
    stripes = np.array(kind, dtype=np.uint8)[np.arange(width) * len(kind) // width]
    return np.broadcast_to(stripes, (height, width, 3)).copy()
