"""``pantile score --gt JSON --pred JSON``: predictions from anywhere against their ground truth, images or videos."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pantile.cli.output_arguments import output_file
from pantile.contracts.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection

    from rich.console import Console

    from pantile.score import Score
    from pantile.score.comparison import ScoreComparison
    from pantile.score.evidence import Part
    from pantile.score.video import VideoOptions

_FORMS = "a COCO-panoptic JSON, a folder of Cityscapes-style instance PNGs, or a folder of semantic PNGs"
_VIDEOS = "or videos as in VIPSeg, Cityscapes-VPS, KITTI-STEP, VSPW or YouTube-VIS"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gt", type=Path, required=True, metavar="PATH", help=f"ground truth: {_FORMS}; {_VIDEOS}")
    parser.add_argument(
        "--pred",
        type=Path,
        required=True,
        nargs="+",
        metavar="PATH",
        help="predictions, in any of these forms; several are compared with the first",
    )
    parser.add_argument("--gt-dir", type=Path, metavar="DIR", help="PNGs of the JSON (default: the JSON without .json)")
    parser.add_argument("--pred-dir", type=Path, nargs="+", metavar="DIR", help="the same for each prediction")
    parser.add_argument("--gt-instances", type=Path, metavar="DIR", help="instance PNGs beside semantic ones")
    parser.add_argument("--pred-instances", type=Path, nargs="+", metavar="DIR", help="the same for each prediction")
    parser.add_argument(
        "--categories",
        type=Path,
        metavar="JSON",
        help="categories of label PNGs without a JSON (default: Cityscapes)",
    )
    parser.add_argument(
        "--pair-by",
        choices=("auto", "id", "name"),
        default="auto",
        help="what pairs the images of two JSON files: image_id unless file names contradict it (default), or one",
    )
    parser.add_argument(
        "--crowd",
        choices=("all", "reference"),
        help="of several crowd regions of a class in an image, which excuse a prediction: all (default of images), or "
        "as in panopticapi the one whose row comes last (default of videos)",
    )
    parser.add_argument("--json", type=output_file, metavar="FILE", help="also write the numbers to this file")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="MEASURE",
        help="nothing else: of images pq (always there), sizes, boundary, things, miou, errors; of videos stq vpq, "
        "miou vc, or ap",
    )
    parser.add_argument(
        "--errors",
        action="store_true",
        help="mistakes by kind (missed, hallucinated, wrong class, merged, split, borders) with the PQ lost to each",
    )
    parser.add_argument(
        "--html", type=output_file, metavar="FILE", help="a page that compares several predictions, with pictures"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images or videos of the ground truth")
    videos = parser.add_argument_group("videos")
    videos.add_argument("--windows", nargs="+", type=int, metavar="N", help="lengths for VPQ or VC, in frames")
    videos.add_argument("--split", metavar="NAME", help="of a data set's root folder (default: val)")
    videos.add_argument(
        "--correct",
        nargs="+",
        default=[],
        metavar="WHAT",
        help="count otherwise than the data sets' own evaluations: aq-void, sq-void, vc-last (see docs/score.md)",
    )
    videos.add_argument(
        "--first-label",
        type=int,
        choices=(0, 1),
        help="value of the first class in predicted PNGs of VSPW (default: 0)",
    )


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from pantile.cli.eval import write_json
    from pantile.cli.score_video_tables import print_video_score
    from pantile.score import usable_cores
    from pantile.score.video import score_videos, video_layout_of

    for option, value in (("--workers", args.workers), ("--limit", args.limit)):
        if value is not None and value < 1:
            raise UserError(f"{option} is {value}: give a whole number from 1.")
    workers = args.workers or usable_cores()
    layout = video_layout_of(args.gt)
    if layout is not None:
        result = score_videos(layout.open(_video_options(args, layout.title)), layout.title, workers, progress=True)
        print_video_score(result, Console())
    else:
        _refuse(args, ("windows", "split", "correct", "first_label"), f"{args.gt}, which is of images")
        result = _score_images(args, workers, Console())
    if args.json:
        write_json(result.to_dict(), args.json)
    return 0


def _score_images(args: argparse.Namespace, workers: int, console: "Console") -> "Score | ScoreComparison":
    from pantile.cli.score_comparison_page import write_page
    from pantile.cli.score_comparison_tables import print_comparison
    from pantile.cli.score_tables import print_score
    from pantile.contracts.file_names import distinct_names
    from pantile.score import Job, open_predictions, open_truth, score
    from pantile.score.comparison import compare_predictions

    if args.html and len(args.pred) < 2:
        raise UserError("--html compares predictions: name several by --pred.")
    names = distinct_names([path.resolve().with_suffix("") for path in args.pred])
    if names is None:
        raise UserError("--pred names the same predictions twice: name each once.")
    parts = _parts(args.only, args.errors)
    folders, instances = (_of_each(args, option) for option in ("pred_dir", "pred_instances"))
    truth = open_truth(args.gt, args.gt_dir, args.gt_instances, args.categories)
    jobs = []
    for paths in zip(args.pred, folders, instances, strict=True):
        predictions = open_predictions(paths[0], truth.taxonomy, *paths[1:])
        jobs.append(Job(truth, predictions, args.limit, args.pair_by, args.crowd or "all", parts))
    if len(jobs) == 1:
        result = score(jobs[0], workers, progress=True)
        print_score(result, console)
        return result
    comparison = compare_predictions(jobs, names, workers, progress=True)
    print_comparison(comparison, console)
    if args.html:
        write_page(args.html, comparison, jobs, args.gt.stem)
    return comparison


def _of_each(args: argparse.Namespace, option: str) -> list[Path | None]:
    """The folder of each prediction.

    Raises:
        UserError: there are not as many as predictions.
    """
    given = getattr(args, option)
    if given is not None and len(given) != len(args.pred):
        raise UserError(
            f"--{option.replace('_', '-')} has {len(given)} folders for {len(args.pred)} predictions: give as many."
        )
    return given or [None] * len(args.pred)


def _parts(only: list[str], errors: bool) -> "Collection[Part]":
    """
    Args:
        errors: also mistakes by kind.

    Raises:
        UserError: a measure that images do not have.
    """
    from pantile.score.evidence import ALL_PARTS, PARTS

    for name in only:
        if name not in ALL_PARTS:
            raise UserError(f"--only names {name!r}: of images there are {', '.join(ALL_PARTS)}.")
    wanted = {*(only or PARTS), *(["errors"] if errors else [])}
    return [part for part in ALL_PARTS if part in wanted]


def _video_options(args: argparse.Namespace, title: str) -> "VideoOptions":
    from pantile.score.video import VideoOptions

    _refuse(args, ("gt_instances", "pred_instances", "pair_by", "html", "errors"), f"{args.gt}, which is of {title}")
    if len(args.pred) > 1:
        raise UserError(f"--pred names {len(args.pred)} predictions of {args.gt}, which is of {title}: name one.")
    return VideoOptions(
        args.gt,
        args.pred[0],
        gt_dir=args.gt_dir,
        pred_dir=_of_each(args, "pred_dir")[0],
        categories=args.categories,
        split=args.split,
        limit=args.limit,
        only=args.only,
        windows=args.windows,
        crowd=args.crowd,
        corrections=args.correct,
        first_label=args.first_label,
    )


def _refuse(args: argparse.Namespace, names: tuple[str, ...], what: str) -> None:
    """
    Raises:
        UserError: an option is given that means nothing for this ground truth.
    """
    for name in names:
        value = getattr(args, name)
        if value is not False and value not in (None, [], "auto"):
            raise UserError(f"--{name.replace('_', '-')} means nothing for {what}: leave it out.")
