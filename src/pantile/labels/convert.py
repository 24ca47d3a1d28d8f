"""Converts a folder of labels: opens the source, looks at its photos, writes every split, and keeps the books."""

import difflib
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pantile.contracts.errors import NoSplit, UserError
from pantile.contracts.taxonomy import ClassInfo, Taxonomy, default_color
from pantile.data.described_images import DescribedImages, images_beside, write_images_beside
from pantile.data.orientation import check_frame
from pantile.labels.collected_rows import FrameRows
from pantile.labels.convert_options import VOID, ConvertOptions
from pantile.labels.convert_split import convert_split, workers_of
from pantile.labels.crowd import chosen_classes
from pantile.labels.overlaps import RULES
from pantile.labels.photo_survey import UNREADABLE, look_at_photos
from pantile.labels.reading.outlines import OUTLINES
from pantile.labels.recognition import AUTO, choose_format, remedy
from pantile.labels.registry import WRITERS, LabelReader, LabelWriter, readers
from pantile.labels.report import FILE_NAME, Report
from pantile.labels.source import LabelSource, LeftOut, ReadOptions
from pantile.labels.staging import staged


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
        photos = look_at_photos(opened, options.unreadable, options.progress, described, workers_of(options))
        source = photos.source
        taxonomy, gap_index, notes = _with_gap(source.taxonomy, options.gap)
        settled = chosen_classes(options.crowd_as_instances, taxonomy)
        recognised = [f"Taken as {seen}, as nothing else fits; --from says it otherwise."] if seen else []
        writer = WRITERS[options.target](folder, taxonomy)
        told = [*recognised, *source.notes, *photos.notes, *notes, *_of_frames(source, writer)]
        left_out = [note for note in told if isinstance(note, LeftOut)]
        report = Report(taxonomy, notes=list(map(str, told)), left_out=left_out, problems=photos.warnings)
        for split in source.splits:
            convert_split(split, writer, folder, report, gap_index, settled, options)
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


def _of_frames(source: LabelSource, writer: LabelWriter) -> list[str]:
    """A note where videos become single images."""
    if isinstance(writer, FrameRows) or not any(split.videos for split in source.splits):
        return []
    return ["Frames of videos are written as single images: which belong together, only their names tell."]


def _about(src: Path, source: LabelSource, options: ConvertOptions) -> dict:
    return {
        "source": {"path": str(src), "format": options.source, "splits": [split.name for split in source.splits]},
        "target": {"format": options.target, "overlap": options.overlap, "gap": options.gap},
    }
