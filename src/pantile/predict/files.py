"""Predicting files and folders: a COCO-panoptic folder and overlays out, shared by any number of processes."""

import importlib
import json
import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.predict.distributed import gathered, on_first
from pantile.predict.image_stages import ImageStages
from pantile.predict.images import BadImage, ImageFile, find_bad, tell_bad
from pantile.predict.job import Done, JobFolder, Log, image_ids, refuse_other_settings, strays
from pantile.predict.progress import no_progress, progress_bars
from pantile.predict.protocol import ImagePredictor
from pantile.predict.result import information
from pantile.predict.stages import in_turn, overlapping

if TYPE_CHECKING:
    from pantile.predict.like import GroundTruth

_REMEDY = "\n--skip-bad predicts the others."


@dataclass(frozen=True)
class PredictOptions:
    """
    Attributes:
        overlays: draw them, too.
        existing: what to do with predictions that are there: refuse, go on with them, or replace them.
        skip_bad: leave out images that cannot be used, instead of stopping.
        like: take ids and names from this ground truth.
    """

    overlays: bool = True
    existing: Literal["refuse", "resume", "overwrite"] = "refuse"
    skip_bad: bool = False
    like: "GroundTruth | None" = None


@dataclass(frozen=True)
class Predicted:
    """
    Attributes:
        json: path of the COCO-panoptic JSON.
        bad: images that were left out.
        images: how many the JSON has.
        kept: how many of them an earlier run had finished.
    """

    json: Path
    bad: list[BadImage]
    images: int
    kept: int

    @property
    def incomplete(self) -> bool:
        """Whether images were left out."""
        return bool(self.bad)


@dataclass(frozen=True)
class _Plan:
    """What the first process found out: images still to do, who is bad already, and what is done."""

    todo: list[ImageFile]
    bad: list[BadImage]
    log: Log


def predict_files(
    predictor: ImagePredictor,
    images: Sequence[ImageFile],
    out: Path,
    rank: int = 0,
    world_size: int = 1,
    options: PredictOptions | None = None,
) -> Predicted:
    """Writes ``annotations/panoptic_predictions.json``, its PNG folder and ``overlays/`` under ``out``.

    Files that are no images by their first bytes stop the job before anything is written; others turn out as they are
    decoded, once. While the network works on an image the next one is read, and the two before it are merged and
    written; images that are cut into tiles are large, and go one by one. The JSON is written last, by process 0; every
    finished image is in the log, so that an interrupted job can be resumed. Overlays of images larger than 4096 pixels
    are drawn smaller.

    Args:
        images: of ``find_images``.
        rank, world_size: this process predicts every ``world_size``-th image; with more than one,
            ``torch.distributed`` must be initialised.

    Raises:
        UserError: ``out`` holds predictions and ``existing`` does not say what to do with them, or they were made with
            other weights or options; or images cannot be used: all of them are named. Finished ones are kept.
    """
    options, folder = options or PredictOptions(), JobFolder(out)
    classes = predictor.taxonomy if options.like is None else _like().taxonomy_like(predictor.taxonomy, options.like)
    plan = on_first(lambda: _prepare(predictor, images, folder, options), rank, world_size)
    share = plan.todo[rank::world_size]
    done: list[Done] = []
    bad: list[BadImage] = []
    stages = ImageStages(predictor, folder, plan.log.ids, classes, options.overlays, options.skip_bad)
    order = in_turn if predictor.tiling else overlapping
    with no_progress() if rank else progress_bars() as progress:
        progress.start(len(share))
        stages.track = progress.tiles
        with closing(order(share, stages.read, stages.infer, stages.finish)) as results:
            for image, found in results:
                if isinstance(found, UserError):
                    bad.append(BadImage(image.name, str(found)))
                    if not options.skip_bad:
                        progress.describe("looking for more bad images")
                        stages.only_read = True
                        if predictor.tiling:
                            break  # its images are large: they are not decoded to be looked at
                elif found is not None:
                    done.append(found)
                    folder.append(found, rank)
                progress.advance()
    bad = plan.bad + [one for part in gathered(bad, world_size) for one in part]
    if bad and not options.skip_bad:
        raise UserError(f"{tell_bad(bad, len(images))}{_REMEDY} What is finished is kept: --resume goes on from there.")
    finished = plan.log.done | {own.name: own for part in gathered(done, world_size) for own in part}
    if not finished:
        raise UserError(tell_bad(bad, len(images)))
    if rank == 0:
        categories = classes if options.like is None else options.like.taxonomy
        _finish(folder, finished, plan.log.ids, categories, information(predictor.per_class))
        in_order = {name: finished[name] for name in plan.log.ids if name in finished}
        folder.start(Log(plan.log.settings, plan.log.ids, in_order))  # the logs of all processes become one
    return Predicted(folder.json, bad, len(finished), len(plan.log.done))


def _prepare(
    predictor: ImagePredictor, images: Sequence[ImageFile], folder: JobFolder, options: PredictOptions
) -> _Plan:
    """Decides what is to do, and makes the folder ready for it."""
    if options.existing == "refuse":
        folder.refuse_existing()
    if options.like is not None:
        images = _like().name_like(images, options.like)
    settings = decisive_settings(predictor, options.like)
    old = folder.read() if options.existing == "resume" else None
    if old is not None:
        refuse_other_settings(old.settings, settings, folder.out)
    old = old or Log(settings)
    kept = {
        image.name
        for image in images
        if image.name in old.done and folder.is_done(old.done[image.name], image, options.overlays)
    }
    todo = [image for image in images if image.name not in kept]
    bad = find_bad(todo)
    if bad and not options.skip_bad:
        raise UserError(f"{tell_bad(bad, len(images))}{_REMEDY}")
    if len(bad) == len(images):
        raise UserError(tell_bad(bad, len(images)))
    if options.existing == "overwrite":
        folder.clear()
    for image in todo:
        if old.done.pop(image.name, None) is not None:
            folder.json.unlink(missing_ok=True)  # it names what is removed now
            folder.remove(image.stem)  # of another image of this name, or half of it is missing
    ids = image_ids(images, old.ids) if options.like is None else old.ids | _ids_of(images, options.like)
    log = Log(settings, ids, old.done)
    folder.start(log)
    unusable = {one.name for one in bad}
    return _Plan([image for image in todo if image.name not in unusable], bad, log)


def _ids_of(images: Sequence[ImageFile], truth: "GroundTruth") -> dict[str, int | str]:
    return {image.name: truth.ids[image.name] for image in images}


def decisive_settings(predictor: ImagePredictor, like: "GroundTruth | None") -> dict:
    """What decides a prediction: a job that differs in any of it is another job."""
    return predictor.settings() | {
        "orientation": predictor.orientation,
        "images": json.loads(json.dumps(asdict(predictor.reading))),
        "tiling": None if predictor.tiling is None else asdict(predictor.tiling),
        "like": None if like is None else like.digest,
    }


def _finish(
    folder: JobFolder, done: dict[str, Done], ids: dict[str, int | str], categories: Taxonomy, information: dict
) -> None:
    """The JSON, in the order of the ids."""
    rows = [done[name] for name in ids if name in done]
    content = information | {
        "images": [row.image for row in rows],
        "annotations": [row.annotation for row in rows],
        "categories": categories.to_coco(),
    }
    with replacing(folder.json) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
    left = strays(folder, (Path(row.annotation["file_name"]).with_suffix("").as_posix() for row in rows))
    if left:
        warnings.warn(
            f"{len(left)} PNGs in {folder.maps} are not in the new JSON ({', '.join(left[:3])}): remove them, or start "
            "anew with --overwrite.",
            stacklevel=2,
        )


def _like() -> ModuleType:
    """Loaded for jobs with a ground truth only: it needs pydantic."""
    return importlib.import_module("pantile.predict.like")
