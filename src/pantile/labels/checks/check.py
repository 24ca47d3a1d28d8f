"""Checks a folder of panoptic labels: every image in worker processes, then what only shows across images."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import track

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.contracts.workers import map_in_workers
from pantile.data.coco_panoptic_files import available_splits, find_split, is_coco_panoptic, jsons_at
from pantile.data.crowd import CrowdCounts
from pantile.data.dataset import PanopticDataset, open_dataset
from pantile.data.described_images import images_beside
from pantile.data.description import is_described
from pantile.data.labelled_photos import LabelledPhotos
from pantile.data.layouts import LAYOUTS, layout_of
from pantile.data.mapillary import is_mapillary
from pantile.data.videos import has_videos
from pantile.labels.checks.cache import Cache
from pantile.labels.checks.classes import compare_classes
from pantile.labels.checks.findings import KINDS, Finding
from pantile.labels.checks.pixels import CocoImage, ImageResult, OpenedImage
from pantile.labels.checks.table import SplitTable, read_split
from pantile.labels.checks.videos import check_videos
from pantile.labels.reading.missing import noting_missing
from pantile.labels.report import CROWD_REMEDY

_CHUNK = 8  # images a worker takes at a time
USUAL_SPLITS = ("train", "val")


@dataclass(frozen=True)
class CheckOptions:
    """
    Attributes:
        splits: which; empty for all.
        workers: processes; the findings do not depend on it.
        cache: file of results of earlier checks; None to check everything anew.
        progress: show a bar on stderr.
    """

    splits: tuple[str, ...] = ()
    workers: int = 1
    cache: Path | None = None
    progress: bool = False


@dataclass
class CheckResult:
    """
    Attributes:
        root: the folder.
        taxonomies: split to its classes.
        tables: of each split of a COCO-panoptic folder; empty for other layouts.
        images: split to the results of its images, in order.
        others: findings that belong to no image that could be looked at.
        videos: split to its data set, where that has videos.
    """

    root: Path
    taxonomies: dict[str, Taxonomy] = field(default_factory=dict)
    tables: list[SplitTable] = field(default_factory=list)
    images: dict[str, list[ImageResult]] = field(default_factory=dict)
    others: list[Finding] = field(default_factory=list)
    videos: dict[str, PanopticDataset] = field(default_factory=dict)

    @property
    def findings(self) -> list[Finding]:
        return self.others + [f for results in self.images.values() for result in results for f in result.findings]

    @property
    def errors(self) -> int:
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def unmended(self) -> int:
        """Errors that a repaired copy has still, or because of which it lacks an image."""
        return sum(f.severity == "error" and not KINDS[f.kind].mended for f in self.findings)

    @property
    def counts(self) -> Counter:
        """Findings of each kind."""
        return Counter(finding.kind for finding in self.findings)

    def totals(self) -> dict[str, dict[str, int]]:
        """Images, segments, pixels and void pixels of each split."""
        return {
            split: {"images": len(results)}
            | {name: sum(getattr(r, name) for r in results) for name in ("segments", "pixels", "void_pixels")}
            for split, results in self.images.items()
        }

    def to_dict(self) -> dict:
        """Plain containers for JSON."""
        return {
            "folder": str(self.root),
            "splits": self.totals(),
            "errors": self.errors,
            "counts": dict(self.counts),
            "findings": [finding.to_dict() for finding in self.findings],
        }


def check(root: str | Path, options: CheckOptions | None = None) -> CheckResult:
    """Looks at every image of a COCO-panoptic folder, or of any folder that ``open_dataset`` reads.

    A COCO-panoptic folder is read leniently, entry by entry. Of other layouts, what their reader refuses is one finding
    per image.

    Args:
        root: the folder; it is only read.
        options: see ``CheckOptions``.

    Raises:
        UserError: nothing can be checked: no such folder or split, a damaged JSON, wrong categories.
    """
    root, options = Path(root), options or CheckOptions()
    if not root.is_dir() and not is_mapillary(root):  # its folder may hold two versions, of which the config tells one
        raise UserError(f"{root} is not a folder: name the folder of a labelled data set.")
    result = CheckResult(root)
    try:
        jobs = _coco_jobs(root, options, result) if is_coco_panoptic(root) else _other_jobs(root, options, result)
        _look(jobs, options, result)
    except RecursionError:
        raise UserError(f"{root}: its JSON nests deeper than can be read: write it anew.") from None
    for split, dataset in result.videos.items():
        result.others.extend(check_videos(dataset, split, result.images[split]))
    _compare_contents(result)
    _count_crowd(result)
    _look_for_things(result)
    return result


Job = CocoImage | OpenedImage


def _coco_jobs(root: Path, options: CheckOptions, result: CheckResult) -> list[Job]:
    names = [find_split(root, split) for split in options.splits] or available_splits(root)
    for split in dict.fromkeys(names or [find_split(root, "train")]):
        table = read_split(root, split)
        result.tables.append(table)
        result.taxonomies[split] = table.taxonomy
        result.others.extend(table.findings)
        if not table.data["images"]:
            result.others.append(Finding("no-images", split, None, "'images' is empty: nothing to train on"))
    jsons = jsons_at(root)
    files = {table.name: jsons[table.name].relative_to(root).as_posix() for table in result.tables}
    result.others.extend(compare_classes({table.name: table.taxonomy for table in result.tables}, files))
    for split, path in () if options.splits else sorted(jsons.items()):
        if split not in names:
            text = "no folder of PNGs belongs to this JSON"
            result.others.append(Finding("split-skipped", path.relative_to(root).as_posix(), split, text))
    images = images_beside(root)
    return [CocoImage(root, t.name, pair, t.things, images) for t in result.tables for pair in t.pairs]


def _other_jobs(root: Path, options: CheckOptions, result: CheckResult) -> list[Job]:
    names = dict.fromkeys(options.splits or _splits(root))
    jobs: list[Job] = []
    refused = []
    for split in names:
        try:
            with noting_missing(missing := []):
                dataset = open_dataset(root, split, skip_missing=True)
        except UserError as error:
            if options.splits or is_described(root):
                raise
            refused.append(error)
            result.others.append(Finding("split-skipped", ".", split, str(error)))
            continue
        result.others.extend(Finding("files-missing", split, None, str(left_out)) for left_out in missing)
        result.taxonomies[split] = dataset.taxonomy
        if has_videos(dataset):
            result.videos[split] = dataset
        if isinstance(dataset, LabelledPhotos):
            dataset.told_unsure = True  # findings say it
        jobs.extend(OpenedImage(dataset, split, index) for index in range(len(dataset)))
    result.others.extend(compare_classes(result.taxonomies, dict.fromkeys(result.taxonomies, ".")))
    if len(refused) == len(names):
        raise refused[0] if refused else UserError(f"{root} has no split: put label PNGs into semantic/<split>.")
    return jobs


def _splits(root: Path) -> list[str]:
    """The splits that there are; where train and val are usual, these too, so that a lacking one is told."""
    layout = layout_of(root)
    present = list(LAYOUTS[layout].splits(root)) if layout else []
    return present if is_described(root) else [*USUAL_SPLITS, *present]


def _look(jobs: list[Job], options: CheckOptions, result: CheckResult) -> None:
    """Results of all images in order; those that an earlier check has are not read again."""
    result.images.update({table.name: [] for table in result.tables})
    with Cache(options.cache) as cache:
        prints = [job.fingerprint for job in jobs]
        known = [None if own is None else cache.get(own) for own in prints]
        fresh = _run([job for job, old in zip(jobs, known, strict=True) if old is None], options.workers)
        found = _in_order(prints, known, fresh, cache)
        console = Console(stderr=True)
        bar = track(found, "checking", len(jobs), console=console, transient=True, disable=not options.progress)
        for job, own in zip(jobs, bar, strict=True):
            result.images.setdefault(job.split, []).append(own)


def _in_order(
    prints: list[str | None], known: list[ImageResult | None], fresh: Iterator[ImageResult], cache: Cache
) -> Iterator[ImageResult]:
    for own, old in zip(prints, known, strict=True):
        if old is not None:
            yield old
            continue
        new = next(fresh)
        if own is not None:
            cache.put(own, new)
        yield new


def _run(jobs: list[Job], workers: int) -> Iterator[ImageResult]:
    return map_in_workers(partial(_check_job, jobs), len(jobs), workers, _CHUNK)


def _check_job(jobs: list[Job], index: int) -> ImageResult:
    return jobs[index].check()


def _count_crowd(result: CheckResult) -> None:
    """What only a whole split shows: things of which nothing, or hardly anything, is separated."""
    for split, images in result.images.items():
        counts = CrowdCounts(result.taxonomies[split])
        for own in images:
            for category, is_crowd, regions, pixels in own.regions:
                counts.count(counts.taxonomy.index_of_id[category], bool(is_crowd), regions, pixels)
        for name in counts.only_crowd:
            text = f"{name}: nothing but crowd, so no training target"
            result.others.append(Finding("class-only-crowd", split, None, text))
        if counts.mostly:
            result.others.append(Finding("mostly-crowd", split, None, f"{counts.mostly}; {CROWD_REMEDY}"))


def _look_for_things(result: CheckResult) -> None:
    """Of folders whose classes a person wrote; many published data sets have none by design."""
    if not (result.tables or is_described(result.root)) or any(t.thing_indices for t in result.taxonomies.values()):
        return
    text = "no class is a thing, so nothing is separated; if some have instances, say isthing 1"
    result.others.extend(Finding("no-things", split, None, text) for split in result.taxonomies)


def _compare_contents(result: CheckResult) -> None:
    """Photos that occur twice. One in two splits is held against the larger split: validation sets stay whole."""
    order = sorted(result.images, key=lambda split: (len(result.images[split]), split))
    seen: dict[str, list[tuple[str, ImageResult]]] = defaultdict(list)
    for split in order:
        for own in result.images[split]:
            if own.content is None:
                continue
            before = seen[own.content]
            elsewhere = next((other.file for name, other in before if name != split), None)
            if elsewhere is not None:
                own.tell("image-in-two-splits", own.file, None, f"the same pixels as {elsewhere}")
            elif before:
                own.tell("same-image-twice", own.file, None, f"the same pixels as {before[0][1].file}")
            before.append((split, own))
