"""The segments that a model finds worst, or segments by name, and what the training set has beside them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pantile.contracts.errors import UserError

if TYPE_CHECKING:
    from pantile.data import PanopticDataset
    from pantile.predict import Predictor
    from pantile.visualize.neighbours import CloseUp, Neighbourhood

NEIGHBOURS = 6  # of each segment
OF_AN_IMAGE = 2  # segments of one image among the worst, so that others are seen, too


class Asked(NamedTuple):
    """
    Attributes:
        index: of the image.
        segment_id: in its map.
        note: why it is asked about.
    """

    index: int
    segment_id: int
    note: str


def segment_neighbours(
    predictor: "Predictor",
    training_set: "PanopticDataset",
    dataset: "PanopticDataset",
    asked: Sequence[Asked],
    count: int = NEIGHBOURS,
) -> list["Neighbourhood"]:
    """Goes through the training set once, one image at a time, with a bar.

    Args:
        training_set, dataset: with the predictor's classes and bands.
        asked: segments of ``dataset``; crowd has no neighbours and is left out.
        count: neighbours of each.
    """
    from rich.console import Console
    from rich.progress import track

    from pantile.inference.segment_embeddings import embed_segments
    from pantile.visualize.neighbours import Neighbourhood

    if not asked:
        return []
    bar = track(range(len(training_set)), "neighbours", console=Console(stderr=True))
    known = embed_segments(predictor.network, training_set, bar)
    own = embed_segments(predictor.network, dataset, sorted({one.index for one in asked}))
    row_of = {place: row for row, place in enumerate(zip(own.images.tolist(), own.ids.tolist(), strict=True))}
    asked = [one for one in asked if one[:2] in row_of]
    rows, cosines = known.nearest(own.vectors[[row_of[one[:2]] for one in asked]], count)
    return [
        Neighbourhood(
            _drawn(dataset, one.index, one.segment_id),
            one.note,
            tuple(
                _drawn(training_set, int(known.images[row]), int(known.ids[row]), float(cosine))
                for row, cosine in zip(of_one, near, strict=True)
            ),
        )
        for one, of_one, near in zip(asked, rows, cosines, strict=True)
    ]


def worst_segments(
    predictor: "Predictor", dataset: "PanopticDataset", images: Sequence[int], count: int
) -> list[Asked]:
    """True segments with the smallest IoU with a prediction of their class, larger ones first among equals.

    Args:
        images: where to look, such as those of the lowest quality.
        count: how many, at most ``OF_AN_IMAGE`` of an image.
    """
    from pantile.metrics import compare_maps

    found = []
    for index in images:
        image, truth = dataset.load(index)
        (comparison,) = compare_maps(predictor(image).panoptic, truth)
        pair = comparison.pair
        best = dict.fromkeys((segment.id for segment in truth.segments if not segment.is_crowd), 0.0)
        for true_id, predicted_id, shared in pair.overlaps:
            predicted = pair.pred_rows.get(predicted_id)
            if true_id in best and predicted and predicted.class_index == pair.gt_rows[true_id].class_index:
                union = pair.gt_areas[true_id] + pair.pred_areas[predicted_id] - shared
                best[true_id] = max(best[true_id], shared / union)
        ranked = sorted((iou, -pair.gt_areas[own], index, own) for own, iou in best.items())
        found += ranked[:OF_AN_IMAGE]
    return [Asked(index, own, _note(iou)) for iou, _, index, own in sorted(found)[:count]]


def _note(iou: float) -> str:
    return f"best IoU of a prediction of its class {iou:.2f}" if iou else "no prediction of its class covers it"


def named_segments(dataset: "PanopticDataset", names: Sequence[str]) -> list[Asked]:
    """
    Args:
        names: ``IMAGE:ID`` each, by the file name of the image and the id of the segment in its map.

    Raises:
        UserError: another form, no such image, or no such segment.
    """
    if not names:
        return []
    index_of = {dataset.name_of(index): index for index in range(len(dataset))}
    asked = []
    for name in names:
        image, _, number = name.rpartition(":")
        if image not in index_of or not number.isdigit():
            known = next(iter(index_of), "image.png")
            raise UserError(f"--segment {name}: give IMAGE:ID of a validation image, such as {known}:1.")
        ids = [segment.id for segment in dataset.load(index_of[image])[1].segments if not segment.is_crowd]
        if int(number) not in ids:
            some = ", ".join(map(str, ids[:8])) or "none"
            raise UserError(f"--segment {name}: {image} has no segment of that id; it has {some}.")
        asked.append(Asked(index_of[image], int(number), "asked for"))
    return asked


def _drawn(dataset: "PanopticDataset", index: int, segment_id: int, cosine: float | None = None) -> "CloseUp":
    from pantile.data.image_files import as_rgb
    from pantile.visualize.neighbours import close_up

    image, panoptic = dataset.load(index)
    return close_up(dataset.name_of(index), as_rgb(image), panoptic, segment_id, dataset.taxonomy, cosine)
