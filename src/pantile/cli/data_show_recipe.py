"""``pantile data show DIR --recipe NAME``: the crops and targets that a training would see, and what vanishes."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pantile.contracts.panoptic import PanopticMap
    from pantile.contracts.taxonomy import Taxonomy
    from pantile.data import PanopticDataset
    from pantile.data.sampler import Draw
    from pantile.data.training_samples import DrawnSample
    from pantile.visualize.labelled_image import LabelledImage

COLUMNS = 4
_FRAMES = 6  # of a clip beside each other
_NAMED = 6  # classes that are named of what vanished


def draw_samples(
    recipe: str, overrides: Sequence[str], dataset: "PanopticDataset", images: int
) -> tuple[list["LabelledImage"], str, int]:
    """The first samples of the recipe's training stream, in its order; samples that belong together stay together.

    Args:
        recipe: a name of ``list_recipes()``.
        overrides: of ``--set``.
        dataset: the images of a training split.
        images: how many, rounded up to whole pairs or clips.

    Returns:
        What is to be drawn, a sentence about what vanished, and how many stand beside each other.

    Raises:
        UserError: an unknown recipe or field, data with other bands, nothing to draw from, or a batch without pairs.
    """
    from rich.console import Console
    from rich.progress import track

    from pantile.data.bands import check_bands, for_data, reading_for
    from pantile.data.loading import training_stream
    from pantile.engine.config import override
    from pantile.recipes import make_recipe
    from pantile.visualize.labelled_image import draw_labelled

    config = make_recipe(recipe)
    config.model, config.images = for_data(config.model, dataset), reading_for(dataset)
    config = override(config, overrides)
    check_bands(config.model, dataset)
    device_batch = config.training.device_batch or config.training.effective_batch
    samples, draws = training_stream(dataset, config.augment, device_batch, seed=config.seed)
    together = 2 if config.augment.pairs else config.augment.clip.frames if config.augment.clip else 1
    wanted = -(-images // together) * (1 if config.augment.clip else together)
    drawn, shown = [], []
    for number, draw in enumerate(track(islice(iter(draws), wanted), "drawing", wanted, console=Console(stderr=True))):
        frames = samples.drawn(draw) if config.augment.clip else [samples.drawn(draw)]
        drawn.append(frames)
        for frame, sample in enumerate(frames):
            title = _title(sample, _belonging(draw, number, frame, together, dataset.taxonomy))
            shown.append(draw_labelled(title, *_picture(sample), dataset.taxonomy))
    note = f"{recipe}: the first {len(shown)} images of a training. {_vanished(drawn, dataset.taxonomy)}"
    return shown, note, min(_FRAMES, together) if config.augment.clip else COLUMNS


def _picture(sample: "DrawnSample") -> tuple[np.ndarray, "PanopticMap"]:
    """(H, W, C) uint8 and the targets that it shows."""
    from pantile.contracts.panoptic import PanopticMap, Segment

    labels = sample.labels.keep(sample.kept)
    rows = [
        Segment(int(row) + 1, int(labels.classes[row]), bool(labels.crowd[row]))
        for row in np.flatnonzero(labels.areas())
    ]
    image = np.ascontiguousarray(sample.image.numpy().transpose(1, 2, 0))
    return image, PanopticMap(labels.ids.astype(np.int32), tuple(rows))


def _belonging(draw: "Draw", number: int, frame: int, together: int, taxonomy: "Taxonomy") -> str:
    """Which pair or clip a sample is of, in words that end in a separator; "" of one that stands alone."""
    if draw.focus is not None:
        return f"pair {number // 2 + 1}, {taxonomy.names[draw.focus.class_index]} · "
    return f"clip {number + 1}, frame {frame + 1} · " if together > 1 else ""


def _title(sample: "DrawnSample", belonging: str) -> str:
    kept, lost = int(sample.kept.sum()), int((~sample.kept).sum())
    targets = "1 target" if kept == 1 else f"{kept} targets"
    return f"{belonging}{targets}{f', {lost} vanished' if lost else ''} · {sample.name}"


def _vanished(drawn: Sequence[Sequence["DrawnSample"]], taxonomy: "Taxonomy") -> str:
    """What the labels of the images have and no target stands for; a thing of a clip counts once."""
    outside, small, pixels, kept = Counter[int](), Counter[int](), 0, 0
    for sample, *_ in drawn:
        kept += int(sample.kept.sum())
        for row in np.flatnonzero(~sample.kept):
            (small if sample.areas[row] else outside)[int(sample.labels.classes[row])] += 1
        pixels += int(sample.areas[~sample.kept].sum())
    least = drawn[0][0].least
    told = [f"{kept:,} targets are left."]
    if outside:
        told.append(f"Outside the crop, or covered: {_by_class(outside, taxonomy)}.")
    if small:
        told.append(
            f"Fewer than {least} pixels (augment.min_pixels), so void: {_by_class(small, taxonomy)}; {pixels:,} pixels."
        )
    return " ".join(told if outside or small else [*told, "Nothing vanished."])


def _by_class(counts: Counter[int], taxonomy: "Taxonomy") -> str:
    """The number of all, and of the most frequent classes."""
    named = ", ".join(f"{count} {taxonomy.names[index]}" for index, count in counts.most_common(_NAMED))
    return f"{counts.total():,} ({named}{', ...' if len(counts) > _NAMED else ''})"
