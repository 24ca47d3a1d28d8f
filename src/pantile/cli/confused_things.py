"""The things that a model confuses the most, predicted once more and drawn."""

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pantile.contracts.taxonomy import Taxonomy
    from pantile.data import PanopticDataset
    from pantile.metrics.thing_confusion import ConfusedSegment
    from pantile.predict import Predictor
    from pantile.visualize import ConfusedThing


def confused_things(
    predictor: "Predictor", dataset: "PanopticDataset", worst: list[tuple[int, float]]
) -> list["ConfusedThing"]:
    """Draws as many segments of each image as an evaluation names of it.

    What is drawn, with its shares, comes from the predictor; where it differs from the evaluation in the last bits, an
    image may have fewer confused segments than were named.

    Args:
        predictor: of the model that was evaluated.
        dataset: what it was evaluated on.
        worst: ``Evaluation.confused``, or the first of it.

    Returns:
        Worst first.
    """
    from pantile.data.image_files import as_rgb
    from pantile.metrics import compare_maps
    from pantile.metrics.thing_confusion import confused_segments
    from pantile.visualize import ConfusedThing, draw_confused

    drawn: list[tuple[float, ConfusedThing]] = []
    for index, count in Counter(index for index, _ in worst).items():
        image, truth = dataset.load(index)
        prediction = predictor(image).panoptic
        (comparison,) = compare_maps(prediction, truth)
        for segment in confused_segments(comparison.pair, dataset.taxonomy)[:count]:
            picture = draw_confused(as_rgb(image), prediction, truth, segment.id, segment.things, dataset.taxonomy)
            class_index = comparison.pair.pred_rows[segment.id].class_index
            note = _note(segment, class_index, dataset.taxonomy)
            drawn.append((segment.share, ConfusedThing(dataset.name_of(index), note, picture)))
    return [thing for _, thing in sorted(drawn, key=lambda row: -row[0])]


def _note(segment: "ConfusedSegment", class_index: int, taxonomy: "Taxonomy") -> str:
    """What the shares say in words."""
    from pantile.metrics.thing_confusion import THRESHOLDS

    first, second = (f"{100 * share:.0f} %" for _, share in segment.things[:2])
    others = sum(100 * share > THRESHOLDS[0] for _, share in segment.things[2:])
    more = f" and part of {others} more" if others else ""
    return f"{taxonomy.names[class_index]} over {first} of one thing, {second} of another{more}"


def write_pictures(things: list["ConfusedThing"], folder: Path) -> None:
    """PNGs named by rank and image: ``01_street.png``. Earlier pictures of the folder are left."""
    from PIL import Image

    from pantile.contracts.atomic import replacing

    for rank, thing in enumerate(things, start=1):
        with replacing(folder / f"{rank:02}_{PurePosixPath(thing.name).stem}.png") as temporary:
            Image.fromarray(thing.picture).save(temporary)
    print(f"{len(things)} pictures in {folder}" if things else "No predicted thing covers parts of several things.")
