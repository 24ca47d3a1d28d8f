"""``pantile convert KIND FILE``: checkpoints of original repositories and of Hugging Face into ours, and back."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pantile.cli.checkpoint_argument import add_weights_option, opened
from pantile.cli.output_arguments import check_weights_name, output_file


@dataclass(frozen=True)
class Kind:
    """One word after ``pantile convert``.

    Attributes:
        summary: for ``--help``.
        add_arguments: to a parser that already has the file and ``--out``.
        run: with the arguments.
    """

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", metavar="|".join(KINDS), required=True)
    for name, kind in KINDS.items():
        sub = kinds.add_parser(name, help=kind.summary, description=kind.summary)
        sub.add_argument("file", type=Path)
        sub.add_argument("--out", type=output_file, required=True, help="the file to write")
        kind.add_arguments(sub)


def run(args: argparse.Namespace) -> int:
    KINDS[args.kind].run(args)
    print(args.out)
    return 0


def _both_ways_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        choices=("ours", "original"),
        default="ours",
        help="ours: FILE is the original's or Hugging Face's; original: FILE is ours, --out ends in .pkl or .pth",
    )
    parser.add_argument(
        "--categories", type=Path, help="COCO-panoptic JSON of its data set (default: its labels, else by their number)"
    )
    parser.add_argument("--recipe", help="recipe for merging and sizes (default: from backbone and class count)")
    add_weights_option(parser, of="of a run folder, with --to original")


def _eomt_arguments(parser: argparse.ArgumentParser) -> None:
    _both_ways_arguments(parser)
    parser.add_argument(
        "--base", type=Path, help="Hugging Face's DINOv3 (file or folder), where FILE holds what is added to it"
    )


def _run_both_ways(architecture: str, args: argparse.Namespace) -> None:
    from pantile.contracts.errors import UserError

    if args.to == "original":
        convert_to_original(args.file, args.out, architecture, args.weights)
    else:
        if args.weights is not None:
            raise UserError("--weights chooses among the weights of a run folder: it goes with --to original.")
        base = getattr(args, "base", None)
        convert_foreign(args.file, args.out, architecture, args.categories, args.recipe, base)


def convert_foreign(
    file: Path,
    out: Path,
    architecture: str,
    categories: Path | None = None,
    recipe: str | None = None,
    base: Path | None = None,
) -> None:
    """Reads weights of the original repository or of Hugging Face, and writes ours with config and taxonomy."""
    from pantile.convert.foreign_checkpoint import load_foreign
    from pantile.engine.checkpoint import save_weights

    check_weights_name(out)
    taxonomy = None if categories is None else read_categories(categories)
    checkpoint = load_foreign(file, architecture, taxonomy, recipe, base)
    save_weights(out, checkpoint.state, checkpoint.config, checkpoint.taxonomy, step=None)


def convert_to_original(file: Path, out: Path, architecture: str, weights: str | None = None) -> None:
    """Writes our checkpoint in the layout of the original repository."""
    from pantile.contracts.errors import UserError
    from pantile.convert.foreign_checkpoint import family_of
    from pantile.convert.foreign_file import write_state

    checkpoint = opened(file, weights, ours_only=True)
    found = checkpoint.config.model.architecture
    if found != architecture:
        raise UserError(f"{file}: is of {found}, not of {architecture}.")
    export = family_of(checkpoint).to_original
    if export is None:
        raise UserError(f"{file}: weights of {architecture} are read from other projects, but not written for them.")
    write_state(out, export(checkpoint.config.model, checkpoint.part("model")))


def read_categories(path: Path) -> object:
    """The taxonomy of a COCO-panoptic JSON, or of a bare list of categories."""
    import json

    from pantile.contracts.errors import UserError
    from pantile.contracts.input_files import regular_file
    from pantile.contracts.taxonomy import Taxonomy

    try:
        content = json.loads(regular_file(path).read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); give a COCO-panoptic annotation file.") from None
    categories = content.get("categories") if isinstance(content, dict) else content
    if not isinstance(categories, list):
        raise UserError(f"{path}: has no list of categories; give a COCO-panoptic annotation file.")
    return Taxonomy.from_coco(categories, source=str(path))


_TRANSFORMERS = "the original's (.pkl, .pth) or Hugging Face's (file or folder)"
KINDS = {
    "eomt": Kind(
        "weights of EoMT, of its authors (.bin, .ckpt, .pth) or Hugging Face's (file or folder), into ours, and back",
        _eomt_arguments,
        partial(_run_both_ways, "eomt"),
    ),
    "maxdeeplab": Kind(
        "weights of deeplab2's MaX-DeepLab (a TensorFlow checkpoint, or an .npz of its variables), into ours",
        _both_ways_arguments,
        partial(_run_both_ways, "max_deeplab"),
    ),
    "to-kmax": Kind(
        "the same as kmax --to original",
        add_weights_option,
        lambda args: convert_to_original(args.file, args.out, "kmax", args.weights),
    ),
    **{
        name: Kind(
            f"weights of {title}, into ours, and back",
            _both_ways_arguments,
            partial(_run_both_ways, name),
        )
        for name, title in (
            ("kmax", "the PyTorch kMaX-DeepLab (.pth, .pkl)"),
            ("mask2former", f"Mask2Former, {_TRANSFORMERS}"),
            ("mask2former_video", "Mask2Former for video, the original's or of images (.pkl, .pth, or Hugging Face's)"),
            ("maskformer", f"MaskFormer, {_TRANSFORMERS}"),
            ("segmenter", "the original Segmenter (.pth)"),
            ("upernet", "Hugging Face's UPerNet on Swin or BEiT (file or folder)"),
            ("videomt", "VidEoMT, of its authors (.pth) or Hugging Face's (file or folder)"),
            ("panoptic_fcn", "the original Panoptic FCN or of its Intra-Batch Supervision fork (.pkl, .pth)"),
        )
    },
}
