"""``pantile score --gt JSON --pred JSON``: predictions from anywhere against their ground truth."""

import argparse
from pathlib import Path

from pantile.cli.output_arguments import output_file

_FORMS = "a COCO-panoptic JSON, a folder of Cityscapes-style instance PNGs, or a folder of semantic PNGs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gt", type=Path, required=True, metavar="PATH", help=f"ground truth: {_FORMS}")
    parser.add_argument("--pred", type=Path, required=True, metavar="PATH", help="predictions, in any of these forms")
    parser.add_argument("--gt-dir", type=Path, metavar="DIR", help="PNGs of the JSON (default: the JSON without .json)")
    parser.add_argument("--pred-dir", type=Path, metavar="DIR", help="the same for the predictions")
    parser.add_argument("--gt-instances", type=Path, metavar="DIR", help="instance PNGs beside semantic ones")
    parser.add_argument("--pred-instances", type=Path, metavar="DIR", help="the same for the predictions")
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
        default="all",
        help="of several crowd regions of a class in an image, which excuse a prediction: all (default), or as in "
        "panopticapi the one whose row comes last",
    )
    parser.add_argument("--json", type=output_file, metavar="FILE", help="also write the numbers to this file")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images of the ground truth")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from pantile.cli.eval import write_json
    from pantile.cli.score_tables import print_score
    from pantile.contracts.errors import UserError
    from pantile.score import Job, open_predictions, open_truth, score, usable_cores

    for option, value in (("--workers", args.workers), ("--limit", args.limit)):
        if value is not None and value < 1:
            raise UserError(f"{option} is {value}: give a whole number from 1.")
    truth = open_truth(args.gt, args.gt_dir, args.gt_instances, args.categories)
    predictions = open_predictions(args.pred, truth.taxonomy, args.pred_dir, args.pred_instances)
    job = Job(truth, predictions, args.limit, args.pair_by, args.crowd)
    result = score(job, args.workers or usable_cores(), progress=True)
    print_score(result, Console())
    if args.json:
        write_json(result.to_dict(), args.json)
    return 0
