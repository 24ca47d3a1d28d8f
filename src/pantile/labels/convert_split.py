"""The images of a split, read, painted and written one by one, by one process or by several."""

import multiprocessing
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.progress import track

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.shortening import short
from pantile.contracts.taxonomy import Taxonomy
from pantile.contracts.workers import map_in_workers
from pantile.labels.collected_rows import CollectedRows, FrameRows
from pantile.labels.convert_options import VOID, ConvertOptions
from pantile.labels.crowd import settle_crowd
from pantile.labels.overlaps import fill_gap, paint
from pantile.labels.photo_survey import CHUNK
from pantile.labels.photos.label_frames import Framed
from pantile.labels.photos.photo_copy import place_photo
from pantile.labels.registry import LabelWriter
from pantile.labels.report import COVERED, Report
from pantile.labels.source import Dropped, SourceSplit

DRAWN_VOID = "a region that the tool declares void: its pixels belong to no class"


def workers_of(options: ConvertOptions) -> int:
    """Readers hold functions, which go to another process only where it is a copy of this one."""
    return options.workers if "fork" in multiprocessing.get_all_start_methods() else 1


@dataclass(frozen=True)
class _Job:
    """The images of a split; what ``_convert_image`` needs of all of them."""

    split: SourceSplit
    names: list[str]
    writer: LabelWriter
    folder: Path
    taxonomy: Taxonomy
    gap_index: int | None
    settled: frozenset[int]
    options: ConvertOptions


def convert_split(
    split: SourceSplit,
    writer: LabelWriter,
    folder: Path,
    report: Report,
    gap_index: int | None,
    settled: frozenset[int],
    options: ConvertOptions,
) -> None:
    images = folder / writer.images.format(split=split.name)
    of_videos = isinstance(writer, FrameRows)
    images.mkdir(parents=True, exist_ok=of_videos)
    if of_videos:
        _make_folders(split, images, options)
    job = _Job(split, _target_names(split, of_videos), writer, images, report.taxonomy, gap_index, settled, options)
    count, workers = len(split.images), workers_of(options)
    if workers > 1 and count > CHUNK and isinstance(writer, CollectedRows):
        done = map_in_workers(partial(_convert_apart, job), count, workers, CHUNK)
    else:
        done = ((_convert_image(job, index), {}) for index in range(count))
    console = Console(stderr=True)
    for own, rows in track(done, split.name, count, console=console, disable=not options.progress):
        report.add(own)
        if rows:
            writer.give(rows)
    writer.finish(split.name)


def _convert_apart(job: _Job, index: int) -> tuple[Report, dict]:
    """In a process of its own, whose copy of the writer forgets what it has; the rows of the image go back."""
    job.writer.take()
    return _convert_image(job, index), job.writer.take()


def _convert_image(job: _Job, index: int) -> Report:
    """Writes one image and its labels. Returns the report on them."""
    image, name, report = job.split.images[index], job.names[index], Report(job.taxonomy)
    panoptic, framed = _read(job.split, index, report, job.options.overlap, job.settled)
    if job.gap_index is not None:
        panoptic, pixels = fill_gap(panoptic, job.gap_index)
        report.gap[job.options.gap] += pixels
    report.count_crowd(job.split.name, panoptic)
    report.count_out(job.writer.write(job.split.name, name, image.id, panoptic, report))
    place_photo(image.path, job.folder / name, job.options.link, framed)
    report.turned.count(image.path, framed)
    report.images[job.split.name] += 1
    return report


def _read(
    split: SourceSplit, index: int, report: Report, rule: str, settled: frozenset[int]
) -> tuple[PanopticMap, Framed | None]:
    """The painted map, and how it lies on its photo; what its labels lost on the way is reported."""
    image = split.images[index]
    labels, flags, made = settle_crowd(split.read(index), report.taxonomy, settled)
    report.flags_dropped.update({report.taxonomy.names[k]: n for k, n in flags.items()})
    report.made_instances.update({report.taxonomy.names[k]: n for k, n in made.items()})
    if labels.pooled_crowd and labels.base is not None:
        crowd = {segment.class_index for segment in labels.base.segments if segment.is_crowd}
        report.unnumbered.update(report.taxonomy.names[k] for k in crowd)
    for dropped in labels.dropped:
        report.drop(dropped)
    painted = paint(labels, report.taxonomy, rule, str(image.path))
    for shape in labels.shapes:
        if shape.class_index is None:
            report.drop(Dropped(VOID, DRAWN_VOID, f"{image.path}: {shape.what}"))
    names = [*report.taxonomy.names, VOID]  # void has the index -1
    for counts, added in (
        (report.segments_in, painted.segments_in),
        (report.pixels_in, painted.pixels_in),
        (report.joined, painted.joined),
    ):
        counts.update({names[k]: n for k, n in added.items()})
    report.decided.update({(names[top], names[below]): n for (top, below), n in painted.decided.items()})
    for k, n in painted.covered.items():
        report.drop(Dropped(names[k], COVERED, str(image.path)), annotations=n)
    return painted.panoptic, labels.framed


def _make_folders(split: SourceSplit, images: Path, options: ConvertOptions) -> None:
    """One for each video.

    Raises:
        UserError: the source has no videos, another split has a video of that name, or gaps are to be filled.
    """
    target = options.target
    if not split.videos:
        raise UserError(
            f"--to {target} is a layout of videos, but the source is of single images: choose another, such as "
            "coco-panoptic."
        )
    if options.gap != VOID:
        raise UserError(f"--gap gives each frame ids of its own, but ids of {target} go over a video: leave it out.")
    for name in dict.fromkeys(PurePosixPath(image.name).parts[0] for image in split.images):
        if (images / name).exists():
            raise UserError(
                f"The video {name} is in the split {split.name!r} and in one before it, but {target} has one folder of "
                "videos for all: convert each split alone (--split)."
            )
        (images / name).mkdir()


def _target_names(split: SourceSplit, of_videos: bool) -> list[str]:
    """``city/a.png`` -> ``city_a.png``: targets have one folder a split and one label a stem; videos keep theirs."""
    names = [image.name if of_videos else "_".join(PurePosixPath(image.name).parts) for image in split.images]
    owner: dict[str, int] = {}
    ids: dict[int | str, int] = {}
    for index, (name, image) in enumerate(zip(names, split.images, strict=True)):
        for known, key, what in ((owner, str(PurePosixPath(name).with_suffix("")), "name"), (ids, image.id, "id")):
            if key in known:
                other = split.images[known[key]]
                both = " and ".join(f"{own.path} (id {short(own.id)})" for own in (image, other))
                raise UserError(f"{both} would both have the {what} {short(key)} in the target: rename one.")
            known[key] = index
    return names
