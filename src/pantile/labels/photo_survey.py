"""The photos of a source, looked at before the work: those that the project could not read later, and copies."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import track

from pantile.contracts.errors import UserError
from pantile.contracts.workers import map_in_workers
from pantile.data.decoding import decoding
from pantile.data.described_images import DescribedImages
from pantile.data.image_files import read_image, read_orientation
from pantile.data.missing import listed
from pantile.labels.photos.content_hash import content_hash
from pantile.labels.source import LabelSource, LeftOut, SourceImage, SourceSplit

UNREADABLE = ("error", "skip", "keep")
CHUNK = 8  # photos that a worker takes at a time


@dataclass
class Photos:
    """
    Attributes:
        source: the source, without the photos that are left out.
        notes: what was left out.
        warnings: what `pantile data check` will call an error in the target.
    """

    source: LabelSource
    notes: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def look_at_photos(
    source: LabelSource, rule: str, progress: bool, described: DescribedImages | None = None, workers: int = 1
) -> Photos:
    """Reads every photo as a data set would.

    Args:
        source: its labels are not read.
        rule: what becomes of photos that cannot be read: ``"error"``, ``"skip"`` leaves them and their labels out,
            ``"keep"`` copies those whose size is known as they are, and leaves out the rest.
        progress: show a bar on stderr.
        described: how the photos are read; None for RGB.
        workers: processes that read.

    Raises:
        UserError: some cannot be read and the rule is ``error``, or all of a split cannot and the rule is ``skip``.
    """
    how = () if described is None else (described.channels, described.reading)
    reasons: dict[Path, str] = {}
    seen: dict[str, tuple[str, Path]] = {}
    copies: list[tuple[Path, Path]] = []
    console = Console(stderr=True)
    for split in source.splits:
        looks = map_in_workers(partial(_look, split.images, how), len(split.images), workers, CHUNK)
        told = f"photos of {split.name}"
        looks = track(looks, told, len(split.images), console=console, disable=not progress)
        for image, (content, reason) in zip(split.images, looks, strict=True):
            if content is None:
                reasons[image.path] = reason
                continue
            name, first = seen.setdefault(content, (split.name, image.path))
            if name != split.name:
                copies.append((image.path, first))
    photos = _settle(source, reasons, rule) if reasons else Photos(source)
    empty = [split.name for split in source.splits if not split.images]
    photos.warnings += [f"{name} has no image, so nothing can be trained on it." for name in empty]
    if copies:
        photos.warnings.append(
            f"{len(copies):,} photos have the same pixels as one of another split, first {copies[0][0]} and "
            f"{copies[0][1]}: leave them in one split."
        )
    return photos


def _look(images: Sequence[SourceImage], how: tuple, index: int) -> tuple[str | None, str]:
    """The hash of a photo's content, or None and why it cannot be read."""
    try:
        with decoding(images[index].path):
            return content_hash(read_image(images[index].path, *how)), ""
    except UserError as error:
        return None, str(error)


def _settle(source: LabelSource, reasons: dict[Path, str], rule: str) -> Photos:
    total = sum(len(split.images) for split in source.splits)

    def told(bad: Sequence[Path]) -> str:
        first = reasons[bad[0]].rstrip(".")
        return f"{len(bad):,} of the {total:,} photos cannot be read: {listed(bad)} (the first: {first})"

    bad = list(reasons)
    if rule == "error":
        raise UserError(
            f"{told(bad)}: correct the files, leave them out with --unreadable skip, or copy them all the same with "
            "keep."
        )
    kept = [path for path in bad if rule == "keep" and _has_size(path)]
    lost = [path for path in bad if path not in set(kept)]
    splits = [_without(split, set(lost)) for split in source.splits]
    empty = [split.name for split in splits if not split.images]
    if empty:
        raise UserError(f"{told(bad)}, which leaves nothing of the split {empty[0]!r}: correct the files.")
    return Photos(
        replace(source, splits=tuple(splits)),
        notes=[LeftOut("images", len(lost), f"{told(lost)}, and were left out.")] if lost else [],
        warnings=[f"{told(kept)}, and were copied as they are."] if kept else [],
    )


def _has_size(path: Path) -> bool:
    """Whether labels can be drawn for it at all."""
    try:
        return min(read_orientation(path).stored) > 0
    except UserError:
        return False


def _without(split: SourceSplit, lost: set[Path]) -> SourceSplit:
    kept: Sequence[int] = [k for k, image in enumerate(split.images) if image.path not in lost]
    images = tuple(split.images[k] for k in kept)
    return replace(split, images=images, read=lambda index: split.read(kept[index]))
