"""How good an exported file is on a data set, measured on what it gives where it is shipped to."""

from dataclasses import replace

from pantile.contracts.errors import UserError
from pantile.data import PanopticDataset, first_images, with_classes
from pantile.data.bands import read_as, settle_reading
from pantile.data.reading import Reading
from pantile.engine.meters import ALL_TASKS, Evaluation, Meters
from pantile.inference.tiles import Tiling
from pantile.runtime.images import PANOPTIC, ExportedFile, predict_image
from pantile.runtime.kinds import KINDS


def evaluate_exported(
    file: ExportedFile,
    dataset: PanopticDataset,
    limit: int | None = None,
    tiling: Tiling | None = None,
    reading: Reading | None = None,
) -> Evaluation:
    """``engine.evaluate`` of a file: image by image, with its own preparation and merge.

    Args:
        limit: only the first images.
        tiling: how images are cut into tiles; None takes each as a whole.
        reading: of the images; None is what the data's ``dataset.yaml`` says, else what the file says.

    Raises:
        UserError: the data set's classes are not the file's; their order may differ.
    """
    header = file.header
    remedy = "export a model of these classes"
    dataset = with_classes(dataset, header.taxonomy, "the data", f"the file {file.path}", remedy)
    if reading is None:
        settle_reading(dataset, header.reading, header.channels)
    else:
        read_as(dataset, reading, header.channels)
    possible = KINDS[header.merge.kind].tasks
    tasks = PANOPTIC if header.inside is not None else ALL_TASKS & possible
    meters = Meters(header.taxonomy, tasks, "instance" in possible)
    chosen = first_images(dataset, limit)
    for index in range(len(chosen)):
        image, truth = chosen.load(index)
        if image.shape[2] != header.channels:
            raise UserError(
                f"{file.path} takes {header.channels} bands, the data have {image.shape[2]}: name other data."
            )
        meters.update([predict_image(file, image, tiling, tasks)], [truth], [index])
    evaluation = meters.compute()
    return replace(evaluation, per_image=sorted(evaluation.per_image))
