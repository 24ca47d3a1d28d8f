"""The loop: reads every image of a source, decides overlaps and gaps, writes the target, and keeps the books."""

import difflib
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.progress import track

from pantile.contracts.errors import NoSplit, UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.shortening import short
from pantile.contracts.taxonomy import ClassInfo, Taxonomy, default_color
from pantile.data.described_images import DescribedImages, images_beside, write_images_beside
from pantile.data.orientation import check_frame
from pantile.labels.crowd import chosen_classes, settle_crowd
from pantile.labels.overlaps import RULES, fill_gap, paint
from pantile.labels.photo_survey import UNREADABLE, look_at_photos
from pantile.labels.photos.label_frames import Framed
from pantile.labels.photos.photo_copy import place_photo
from pantile.labels.reading.outlines import OUTLINES
from pantile.labels.recognition import AUTO, choose_format, remedy
from pantile.labels.registry import WRITERS, LabelReader, LabelWriter, readers
from pantile.labels.report import COVERED, FILE_NAME, Report
from pantile.labels.source import Dropped, LabelSource, LeftOut, ReadOptions, SourceSplit
from pantile.labels.staging import staged

VOID = "void"
DRAWN_VOID = "a region that the tool declares void: its pixels belong to no class"


@dataclass(frozen=True)
class ConvertOptions:
    """
    Attributes:
        source: a name in ``readers()``, or ``"auto"`` for the one format that fits.
        target: a name in ``WRITERS``.
        read: what the source's files do not say.
        overlap: one of ``overlaps.RULES``.
        gap: what pixels without label become: ``"void"``, or the name of a stuff class; a new name adds a class.
        crowd_as_instances: classes whose crowd regions become instances; an empty tuple for all things, None for none.
        unreadable: what becomes of photos that the project cannot read: one of ``photo_survey.UNREADABLE``.
        link: hard-link the images instead of copying them, but for those that ``place_photo`` has to change.
        progress: show a progress bar.
    """

    source: str = AUTO
    target: str = "coco-panoptic"
    read: ReadOptions = field(default_factory=ReadOptions)
    overlap: str = "error"
    gap: str = VOID
    crowd_as_instances: tuple[str, ...] | None = None
    unreadable: str = "error"
    link: bool = False
    progress: bool = False


def convert(src: str | Path, dst: str | Path, options: ConvertOptions) -> Report:
    """Converts a folder of labels. ``dst`` appears complete, with ``convert_report.json``, or not at all.

    What a ``dataset.yaml`` in the source says of the images counts, and goes with them.

    Args:
        src: the source; it is only read.
        dst: must not exist, or be an empty folder.
        options: see ``ConvertOptions``.

    Raises:
        UserError: bad input, told in one sentence.
    """
    src, dst = Path(src), Path(dst)
    seen = None
    if options.source == AUTO and src.exists():
        seen = choose_format(src)
        options = replace(options, source=seen.name)
    reader = _checked(src, options)
    with staged(dst) as folder:
        described = _described(src, reader)
        scratch = folder.with_name(f"{folder.name}.photos")
        read = replace(_with_orientation(options.read, reader, described), scratch=scratch)
        opened = _opened(src, reader, read, options.source)
        photos = look_at_photos(opened, options.unreadable, options.progress, described)
        source = photos.source
        taxonomy, gap_index, notes = _with_gap(source.taxonomy, options.gap)
        settled = chosen_classes(options.crowd_as_instances, taxonomy)
        recognised = [f"Taken as {seen}, as nothing else fits; --from says it otherwise."] if seen else []
        told = [*recognised, *source.notes, *photos.notes, *notes]
        left_out = [note for note in told if isinstance(note, LeftOut)]
        report = Report(taxonomy, notes=list(map(str, told)), left_out=left_out, problems=photos.warnings)
        writer = WRITERS[options.target](folder, taxonomy)
        for split in source.splits:
            _convert_split(split, writer, folder, report, gap_index, settled, options)
        write_images_beside(folder, described)
        report.write(folder / FILE_NAME, _about(src, source, options))
    return report


def _opened(src: Path, reader: LabelReader, read: ReadOptions, name: str) -> LabelSource:
    """
    Raises:
        UserError: as the reader; of another format's files, with what they are.
    """
    try:
        return reader.open(src, read)
    except NoSplit:
        raise
    except UserError as error:
        hint = remedy(src, name)
        if not hint:
            raise
        raise UserError(f"{error} {hint}") from None


def _described(src: Path, reader: LabelReader) -> DescribedImages | None:
    """Of a JSON in ``annotations``, the folder above has the file."""
    if not reader.described:
        return None
    root = src if src.is_dir() else src.parent
    return images_beside(root.parent if src.is_file() and root.name == "annotations" else root)


def _with_orientation(options: ReadOptions, reader: LabelReader, described: DescribedImages | None) -> ReadOptions:
    """``dataset.yaml`` decides where the sizes of label maps cannot; an option goes before it."""
    if described is None or options.orientation is not None or reader.coordinates:
        return options
    return replace(options, orientation=described.orientation)


def _convert_split(
    split: SourceSplit,
    writer: LabelWriter,
    folder: Path,
    report: Report,
    gap_index: int | None,
    settled: frozenset[int],
    options: ConvertOptions,
) -> None:
    names = _target_names(split)
    images = folder / writer.images.format(split=split.name)
    images.mkdir(parents=True)
    positions = range(len(split.images))
    console = Console(stderr=True)
    for index in track(positions, description=split.name, console=console, disable=not options.progress):
        image = split.images[index]
        panoptic, framed = _read(split, index, report, options.overlap, settled)
        if gap_index is not None:
            panoptic, pixels = fill_gap(panoptic, gap_index)
            report.gap[options.gap] += pixels
        report.count_crowd(split.name, panoptic)
        held = writer.write(split.name, names[index], image.id, panoptic, report)
        report.count_out(held)
        place_photo(image.path, images / names[index], options.link, framed)
        report.turned.count(image.path, framed)
        report.images[split.name] += 1
    writer.finish(split.name)


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


def _checked(src: Path, options: ConvertOptions) -> LabelReader:
    """The reader of the source, if the options fit it."""
    readable = readers()
    for what, name, known in (
        ("--from", options.source, readable),
        ("--to", options.target, WRITERS),
        ("--overlap", options.overlap, RULES),
        ("--unreadable", options.unreadable, UNREADABLE),
    ):
        if name not in known and name != AUTO:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise UserError(f"{what} {name!r} is not known{hint}: choose from {', '.join(known)}.")
    if not src.exists():
        raise UserError(f"The source {src} does not exist: name the folder of labels.")
    for name in ("things", "stuff", "classes", "images", "outline"):
        if getattr(options.read, name) and name not in readable[options.source].options:
            raise UserError(
                f"--{name} does not apply to {options.source}, whose files say this themselves: leave it out."
            )
    if options.read.outline is not None and options.read.outline not in OUTLINES:
        raise UserError(f"--outline {options.read.outline!r} is not known: choose from {', '.join(OUTLINES)}.")
    if options.read.orientation is not None:
        check_frame(options.read.orientation, "--orientation")
    for split in options.read.splits:
        if PurePosixPath(split).name != split or split in (".", "..") or split.startswith("."):
            raise UserError(f"--split {split!r} is not the name of a split: write a plain name such as train.")
    return readable[options.source]


def _with_gap(taxonomy: Taxonomy, gap: str) -> tuple[Taxonomy, int | None, tuple[str, ...]]:
    """The taxonomy, with the class that fills gaps if it is new, and that class's index."""
    if gap == VOID:
        return taxonomy, None, ()
    if gap in taxonomy.names:
        index = taxonomy.names.index(gap)
        if taxonomy.classes[index].is_thing:
            raise UserError(f"--gap {gap!r} is a thing, which cannot fill what is left over: name a stuff class.")
        return taxonomy, index, ()
    close = difflib.get_close_matches(gap, taxonomy.names, n=1)
    if close:
        raise UserError(f"--gap {gap!r} is not a class of the source: did you mean {close[0]!r}?")
    new = ClassInfo(gap, False, max(taxonomy.index_of_id) + 1, default_color(len(taxonomy)))
    note = f"{gap} is not a class of the source: added as stuff with the id {new.id}."
    return Taxonomy((*taxonomy.classes, new)), len(taxonomy), (note,)


def _target_names(split: SourceSplit) -> list[str]:
    """``city/a.png`` -> ``city_a.png``: targets have one folder per split and one label per stem."""
    names = ["_".join(PurePosixPath(image.name).parts) for image in split.images]
    owner: dict[str, int] = {}
    ids: dict[int | str, int] = {}
    for index, (name, image) in enumerate(zip(names, split.images, strict=True)):
        for known, key, what in ((owner, PurePosixPath(name).stem, "name"), (ids, image.id, "id")):
            if key in known:
                other = split.images[known[key]]
                both = " and ".join(f"{own.path} (id {short(own.id)})" for own in (image, other))
                raise UserError(f"{both} would both have the {what} {short(key)} in the target: rename one.")
            known[key] = index
    return names


def _about(src: Path, source: LabelSource, options: ConvertOptions) -> dict:
    return {
        "source": {"path": str(src), "format": options.source, "splits": [split.name for split in source.splits]},
        "target": {"format": options.target, "overlap": options.overlap, "gap": options.gap},
    }
